#include "protocol/report.h"

#include <algorithm>

#include "support/limits.h"

namespace verge::protocol {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 40;
constexpr int64_t kMostMs = 3'600'000;
constexpr int64_t kMostRequests = 1 << 20;

int64_t bounded(const json::object& object, std::string_view key, int64_t fallback, int64_t low, int64_t high) {
  return std::clamp(get_int(object, key).value_or(fallback), low, high);
}
int bounded_int(const json::object& object, std::string_view key, int64_t fallback, int64_t low, int64_t high) {
  return static_cast<int>(bounded(object, key, fallback, low, high));
}

}  // namespace

json::object to_json(const ModelReport& report) {
  json::object out{{"id", report.id}, {"task", report.task}, {"bytes", report.bytes}, {"load_ms", report.load_ms}};
  if (report.loading) out["loading"] = true;
  if (!report.build.empty()) out["build"] = report.build;
  if (!report.loaded) return out;
  out["loaded"] = true;
  if (report.suspect) out["suspect"] = true;
  out["queued"] = report.queued;
  out["running"] = report.running;
  out["slots"] = report.slots;
  out["wait_slots"] = report.wait_slots;
  out["queued_tokens"] = report.queued_tokens;
  if (report.first_token_ms >= 0) out["first_token_ms"] = report.first_token_ms;
  if (report.slot_ms > 0) out["slot_ms"] = report.slot_ms;
  if (report.prefill_tokens_per_s > 0) out["prefill_tokens_per_s"] = report.prefill_tokens_per_s;
  if (report.kv_free_tokens >= 0) out["kv_free_tokens"] = report.kv_free_tokens;
  return out;
}

void read_own_report(const json::object& object, ModelReport& report) {
  report.queued = bounded_int(object, "queued", 0, 0, kMostRequests);
  report.running = bounded_int(object, "running", 0, 0, kMostRequests);
  report.slots = bounded_int(object, "slots", limits::kSequences, 1, kMostRequests);
  report.wait_slots = bounded_int(object, "wait_slots", limits::kQueueLength, 0, kMostRequests);
  report.queued_tokens = bounded(object, "queued_tokens", 0, 0, kMostTokens);
  report.prefill_tokens_per_s = std::clamp(get_number(object, "prefill_tokens_per_s").value_or(0), 0.0, 1e9);
  report.first_token_ms = bounded_int(object, "first_token_ms", -1, -1, kMostMs);
  report.slot_ms = bounded_int(object, "slot_ms", 0, 0, kMostMs);
  report.kv_free_tokens = bounded(object, "kv_free_tokens", -1, -1, kMostTokens);
}

verge::Result<ModelReport> read_report(const json::value& value) {
  const json::object* object = value.if_object();
  if (!object) return fail(Code::InvalidInput, "a model is no object");
  ModelReport report;
  report.id = get_string(*object, "id").value_or("");
  if (report.id.empty() || report.id.size() > limits::kModelIdBytes) return fail(Code::InvalidInput, "a model without a proper id");
  report.task = get_string(*object, "task").value_or("");
  if (report.task.size() > 64) return fail(Code::InvalidInput, "a task's name is too long");
  report.build = get_string(*object, "build").value_or("").substr(0, 128);
  report.loaded = get_bool(*object, "loaded").value_or(false);
  report.loading = get_bool(*object, "loading").value_or(false);
  report.suspect = report.loaded && get_bool(*object, "suspect").value_or(false);
  report.load_ms = bounded_int(*object, "load_ms", 10'000, 0, kMostMs);
  report.bytes = bounded(*object, "bytes", 0, 0, int64_t{1} << 50);
  read_own_report(*object, report);
  return report;
}

}  // namespace verge::protocol
