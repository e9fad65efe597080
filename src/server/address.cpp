#include "server/address.h"

namespace verge::server {

Result<Address> parse_address(const std::string& text, const std::string& flag) {
  const size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos || std::stoul(port) > 65535)
    return fail(Code::InvalidInput, "{} wants HOST:PORT, as in 127.0.0.1:8780, not '{}'", flag, text);
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return Address{host.empty() ? "127.0.0.1" : host, static_cast<uint16_t>(std::stoul(port))};
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace verge::server
