#include "support/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>

#include "support/clock.h"
#include "support/random.h"

namespace verge::trace {
namespace {

std::function<void(Record)> g_sink;

bool hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool zero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

// From the monotonic clock to Unix time, us. One value for all spans, until the wall clock is set: read anew for each, the two
// clocks' rounding would let a span begin before the one that holds it.
int64_t unix_offset_us() {
  using namespace std::chrono;
  static std::atomic<int64_t> kept{INT64_MIN};
  constexpr int64_t kStepUs = 5000;  // smaller steps of the wall clock are not followed
  const int64_t first = monotonic_us();
  const int64_t now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count() - first;
  const int64_t apart = monotonic_us() - first;  // long where another thread got the core in between: no step
  const int64_t before = kept.load(std::memory_order_relaxed);
  if (before != INT64_MIN && std::abs(now - before) < kStepUs + apart) return before;
  kept.store(now, std::memory_order_relaxed);
  return now;
}

}  // namespace

void set_sink(std::function<void(Record)> sink) { g_sink = std::move(sink); }
bool enabled() { return static_cast<bool>(g_sink); }

bool valid_traceparent(std::string_view text) {
  if (text.size() != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2), trace = text.substr(3, 32), span = text.substr(36, 16), flags = text.substr(53);
  return hex(version) && version != "ff" && hex(trace) && !zero(trace) && hex(span) && !zero(span) && hex(flags);
}

Span::Span(std::string name, Kind kind, std::string_view parent) {
  const bool inherits = valid_traceparent(parent);
  if (inherits) traceparent_ = parent;
  const bool sampled = !inherits || (parent.back() >= 'a' ? parent.back() - 'a' + 10 : parent.back() - '0') % 2 == 1;
  if (!enabled() || !sampled) return;
  on_ = true;
  record_.name = std::move(name);
  record_.kind = kind;
  record_.trace_id = inherits ? std::string(parent.substr(3, 32)) : fmt::format("{:016x}{:016x}", random_u64() | 1, random_u64());
  if (inherits) record_.parent_id = parent.substr(36, 16);
  record_.span_id = fmt::format("{:016x}", random_u64() | 1);
  offset_us_ = unix_offset_us();
  record_.start_us = monotonic_us() + offset_us_;
  traceparent_ = fmt::format("00-{}-{}-01", record_.trace_id, record_.span_id);
}

Span::Span(Span&& other) noexcept { *this = std::move(other); }

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  end();
  on_ = std::exchange(other.on_, false);
  record_ = std::move(other.record_);
  offset_us_ = other.offset_us_;
  traceparent_ = std::move(other.traceparent_);
  return *this;
}

Span::~Span() { end(); }

void Span::set(std::string key, std::string value) {
  if (on_) record_.attributes.emplace_back(std::move(key), std::move(value));
}
void Span::set(std::string key, int64_t value) {
  if (on_) record_.attributes.emplace_back(std::move(key), value);
}
void Span::fail(std::string message) {
  if (on_) record_.error = std::move(message);
}

void Span::end() {
  if (!std::exchange(on_, false)) return;
  record_.end_us = monotonic_us() + offset_us_;  // a clock that is set meanwhile makes no span longer
  if (g_sink) g_sink(std::move(record_));
}

}  // namespace verge::trace
