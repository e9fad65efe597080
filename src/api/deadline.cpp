#include "api/deadline.h"

#include <charconv>

#include "support/clock.h"
#include "support/http_limits.h"

namespace verge::api {

Result<void> read_deadline(Call& call) {
  int64_t limit_ms = limits::kRequestMs;
  const std::string_view header = call.in.header("cf-aig-request-timeout");
  if (!header.empty()) {
    const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), limit_ms);
    if (error != std::errc() || end != header.data() + header.size() || limit_ms < 1 || limit_ms > limits::kRequestMs)
      return fail(Code::InvalidInput, "the header cf-aig-request-timeout wants milliseconds, 1 to {}, not '{}'", limits::kRequestMs, header);
  }
  call.deadline_ms = unix_ms() + limit_ms;
  return {};
}

}  // namespace verge::api
