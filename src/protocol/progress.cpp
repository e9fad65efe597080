#include "protocol/progress.h"

#include <algorithm>

namespace verge::protocol {
namespace {

constexpr size_t kMostKinds = 16;
constexpr int64_t kMostMs = 3'600'000;
constexpr double kFlopsPerByte = 2;  // weights of a byte each; of smaller ones it is more, of larger ones less
constexpr double kSlowFlops = 100e9;

}  // namespace

json::array to_json(const std::vector<Progress>& work) {
  json::array out;
  for (const Progress& one : work) out.push_back(json::object{{"what", one.what}, {"number", one.number}, {"busy", one.busy}, {"expected_ms", one.expected_ms}});
  return out;
}

std::vector<Progress> read_progress(const json::object& status) {
  std::vector<Progress> out;
  const json::array* list = get_array(status, "work");
  if (!list) return out;
  for (const json::value& value : *list) {
    const json::object* one = value.if_object();
    if (!one || out.size() >= kMostKinds) continue;
    Progress progress;
    progress.what = get_string(*one, "what").value_or("");
    progress.number = static_cast<uint64_t>(get_int(*one, "number").value_or(0));
    progress.busy = get_bool(*one, "busy").value_or(false);
    progress.expected_ms = std::clamp<int64_t>(get_int(*one, "expected_ms").value_or(0), 0, kMostMs);
    if (!progress.what.empty()) out.push_back(std::move(progress));
  }
  return out;
}

int64_t expected_ms(int64_t rows, double rows_per_second, uint64_t weight_bytes) {
  const double seconds = rows_per_second > 0 ? static_cast<double>(rows) / rows_per_second
                                             : static_cast<double>(rows) * static_cast<double>(weight_bytes) * kFlopsPerByte / kSlowFlops;
  return static_cast<int64_t>(std::clamp(seconds * 1000, 0.0, static_cast<double>(kMostMs)));
}

}  // namespace verge::protocol
