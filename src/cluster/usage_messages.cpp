#include "cluster/usage_messages.h"

#include <algorithm>
#include <utility>

#include "accounts/accounts.h"
#include "cluster/heartbeat.h"
#include "support/json.h"

namespace verge::cluster {
namespace {

constexpr std::string_view kPrefix = "verge.usage.";
// A reader takes what a writer of any version of this program makes, so the writer cuts to what the reader takes.
constexpr size_t kBatchBytes = 64 << 10;   // of one message; a row past it goes into the next
constexpr size_t kBatchRows = 1000;
constexpr size_t kTextBytes = 128;
// 10 million neurons, or as many tokens: far from a request's, and a million of them can be added up.
constexpr int64_t kMostOfAUnit = 10'000'000'000'000;
constexpr int64_t kLatestMs = int64_t{1} << 50;
constexpr int64_t kMostRows = int64_t{1} << 50;

struct Unit {
  const char* name;
  int64_t protocol::Usage::*value;
};
constexpr Unit kUnits[] = {{"prompt_tokens", &protocol::Usage::prompt_tokens}, {"completion_tokens", &protocol::Usage::completion_tokens},
                           {"cached_tokens", &protocol::Usage::cached_tokens}, {"audio_ms", &protocol::Usage::audio_ms},
                           {"images", &protocol::Usage::images},               {"tiles", &protocol::Usage::tiles},
                           {"steps", &protocol::Usage::steps},                 {"characters", &protocol::Usage::characters}};
struct Text {
  const char* name;
  std::string UsageRow::*value;
};
constexpr Text kTexts[] = {{"id", &UsageRow::id}, {"account", &UsageRow::account}, {"model", &UsageRow::model}, {"task", &UsageRow::task}, {"node", &UsageRow::node}, {"outcome", &UsageRow::outcome}};

bool plain(std::string_view text) {
  return text.size() <= kTextBytes && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string made_plain(std::string text) {
  if (text.size() > kTextBytes) text.resize(kTextBytes);
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

json::array to_json(UsageMark mark) { return {mark.boot, mark.seq}; }

json::object to_json(const UsageRow& row) {
  json::object out{{"mark", to_json(mark_of(row))}, {"time_ms", std::clamp<int64_t>(row.time_ms, 0, kLatestMs)}};
  for (const auto& [name, value] : kTexts) {
    const std::string& text = row.*value;
    // Two accounts must not become one.
    out[name] = plain(text) ? text : value == &UsageRow::account ? accounts::valid_account_for(text) : made_plain(text);
  }
  if (!row.answered_by.empty()) out["answered_by"] = made_plain(row.answered_by);
  if (row.neurons) out["neurons"] = std::clamp<int64_t>(row.neurons, 0, kMostOfAUnit);
  for (const auto& [name, value] : kUnits)
    if (row.usage.*value) out[name] = std::clamp<int64_t>(row.usage.*value, 0, kMostOfAUnit);
  return out;
}

Result<UsageMark> mark_of(const json::value* value) {
  const json::array* pair = value ? value->if_array() : nullptr;
  if (!pair || pair->size() != 2 || !(*pair)[0].is_int64() || !(*pair)[1].is_int64()) return fail(Code::InvalidInput, "no mark");
  const UsageMark mark{(*pair)[0].get_int64(), (*pair)[1].get_int64()};
  if (mark.boot < 0 || mark.boot > kLatestMs || mark.seq < 0 || mark.seq > kMostRows) return fail(Code::InvalidInput, "a mark out of range");
  return mark;
}

Result<int64_t> number(const json::object& object, const char* name, int64_t most) {
  const json::value* value = object.if_contains(name);
  if (!value) return int64_t{0};
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > most) return fail(Code::InvalidInput, "'{}' is out of range", name);
  return value->get_int64();
}

Result<UsageRow> row_of(const json::value& value, const std::string& gateway) {
  const json::object* object = value.if_object();
  if (!object) return fail(Code::InvalidInput, "a row is no object");
  UsageRow row;
  row.gateway = gateway;
  VERGE_ASSIGN(mark, mark_of(object->if_contains("mark")));
  row.boot = mark.boot;
  row.seq = mark.seq;
  for (const auto& [name, text] : kTexts) {
    auto given = get_string(*object, name);
    if (!given || !plain(*given)) return fail(Code::InvalidInput, "'{}' is no proper text", name);
    row.*text = std::move(*given);
  }
  // Older programs do not say.
  if (auto given = get_string(*object, "answered_by")) {
    if (!plain(*given)) return fail(Code::InvalidInput, "'answered_by' is no proper text");
    row.answered_by = std::move(*given);
  }
  VERGE_ASSIGN(time_ms, number(*object, "time_ms", kLatestMs));
  row.time_ms = time_ms;
  VERGE_ASSIGN(neurons, number(*object, "neurons", kMostOfAUnit));
  row.neurons = neurons;
  for (const auto& [name, unit] : kUnits) {
    VERGE_ASSIGN(amount, number(*object, name, kMostOfAUnit));
    row.usage.*unit = amount;
  }
  return row;
}

Result<UsageMessage> have_of(const json::object& marks) {
  if (marks.size() > kUsageGateways) return fail(Code::InvalidInput, "{} gateways; the limit is {}", marks.size(), kUsageGateways);
  UsageHave have;
  for (const auto& [name, value] : marks) {
    if (!valid_name(std::string_view(name))) return fail(Code::InvalidInput, "no proper name of a gateway");
    VERGE_ASSIGN(mark, mark_of(&value));
    have.marks.emplace(std::string(name), mark);
  }
  return UsageMessage(std::move(have));
}

Result<UsageMessage> batch_of(const json::object& object, const json::array& rows, const std::string& gateway) {
  UsageBatch batch;
  VERGE_ASSIGN(after, mark_of(object.if_contains("after")));
  VERGE_ASSIGN(upto, mark_of(object.if_contains("upto")));
  batch.after = after;
  batch.upto = upto;
  if (rows.size() > kBatchRows) return fail(Code::InvalidInput, "{} rows; the limit is {}", rows.size(), kBatchRows);
  UsageMark last = after;
  for (const json::value& one : rows) {
    VERGE_ASSIGN(row, row_of(one, gateway));
    if (accounts::mark_of(row) <= last) return fail(Code::InvalidInput, "rows out of order");
    last = accounts::mark_of(row);
    batch.rows.push_back(std::move(row));
  }
  if (upto < last) return fail(Code::InvalidInput, "a row past the batch's end");
  return UsageMessage(std::move(batch));
}

}  // namespace

std::string encode_have(const std::map<std::string, UsageMark>& marks) {
  json::object have;
  for (const auto& [name, mark] : marks) have[name] = to_json(mark);
  return json::serialize(json::object{{"v", kVersion}, {"have", std::move(have)}});
}

EncodedBatch encode_batch(UsageMark after, UsageMark upto, std::span<const UsageRow> rows) {
  EncodedBatch out;
  std::string list;
  size_t count = 0;
  for (const UsageRow& row : rows.first(std::min(rows.size(), kBatchRows))) {
    std::string one = json::serialize(to_json(row));
    if (count > 0 && list.size() + one.size() > kBatchBytes) break;
    if (count++ > 0) list += ',';
    list += one;
  }
  out.upto = count > 0 ? accounts::mark_of(rows[count - 1]) : upto;
  out.text = fmt::format(R"({{"v":{},"after":{},"upto":{},"rows":[{}]}})", kVersion, json::serialize(to_json(after)), json::serialize(to_json(out.upto)), list);
  return out;
}

Result<UsageMessage> decode_usage(std::string_view text, const std::string& gateway) {
  if (text.size() > kUsageMessageBytes) return fail(Code::InvalidInput, "{} bytes; the limit is {}", text.size(), kUsageMessageBytes);
  VERGE_ASSIGN(value, parse_json(text, 8));
  const json::object* object = value.if_object();
  if (!object) return fail(Code::InvalidInput, "no object");
  const int64_t version = get_int(*object, "v").value_or(0);
  if (version > kVersion)
    return fail(Code::UnsupportedParameter, "gateway {} speaks version {} of the cluster's protocol, this program version {}: upgrade it", gateway, version, kVersion);
  if (version < 1) return fail(Code::InvalidInput, "no version");
  if (const json::object* marks = get_object(*object, "have")) return have_of(*marks);
  if (const json::array* rows = get_array(*object, "rows")) return batch_of(*object, *rows, gateway);
  return fail(Code::InvalidInput, "neither rows nor marks");
}

std::string usage_subject(const std::string& name) { return std::string(kPrefix) + name; }
std::string usage_subject(const std::string& name, const std::string& other) { return usage_subject(name) + "." + other; }

std::optional<UsageSubject> parse_usage_subject(std::string_view subject) {
  if (!subject.starts_with(kPrefix)) return std::nullopt;
  subject.remove_prefix(kPrefix.size());
  const size_t dot = subject.find('.');
  UsageSubject out;
  out.from = subject.substr(0, dot);
  if (dot != std::string_view::npos) out.to = subject.substr(dot + 1);
  if (!valid_name(out.from) || (dot != std::string_view::npos && !valid_name(out.to))) return std::nullopt;
  return out;
}

}  // namespace verge::cluster
