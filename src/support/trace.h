// Traces: what a request did when and where, across machines (W3C Trace Context, https://www.w3.org/TR/trace-context/).
// A span is made where work begins and recorded where the object goes; its traceparent() travels with the request. Without a sink
// nothing is recorded and the caller's traceparent passes through untouched.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace verge::trace {

enum class Kind { Internal = 1, Server = 2, Client = 3 };  // as OpenTelemetry numbers them

using Attribute = std::pair<std::string, std::variant<std::string, int64_t>>;

struct Record {
  std::string trace_id, span_id, parent_id;  // hex: 32, 16, 16 or empty
  std::string name;
  Kind kind = Kind::Internal;
  int64_t start_us = 0, end_us = 0;  // Unix time
  std::vector<Attribute> attributes;
  std::string error;  // empty = went well
};

// Process-wide, as the log is. Called where a span ends; must not block. Empty = off.
void set_sink(std::function<void(Record)> sink);
bool enabled();

// "00-<32 hex>-<16 hex>-<2 hex>", not all zero.
bool valid_traceparent(std::string_view text);

class Span {
 public:
  Span() = default;  // records nothing
  // parent: a traceparent, or empty for a new trace. A parent that is not sampled is respected.
  Span(std::string name, Kind kind, std::string_view parent);
  Span(Span&& other) noexcept;
  Span& operator=(Span&& other) noexcept;
  ~Span();

  // For whatever this span's work calls.
  const std::string& traceparent() const { return traceparent_; }
  void set(std::string key, std::string value);
  void set(std::string key, int64_t value);
  void fail(std::string message);

 private:
  void end();
  bool on_ = false;
  Record record_;
  int64_t offset_us_ = 0;  // from the monotonic clock to Unix time
  std::string traceparent_;
};

}  // namespace verge::trace
