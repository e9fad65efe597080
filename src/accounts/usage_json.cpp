#include "accounts/usage_json.h"

#include <algorithm>
#include <ctime>

#include "accounts/quota.h"

namespace verge::accounts {
namespace {

void add_sums(json::object& out, const UsageLine& line) {
  out["requests"] = line.requests;
  out["failed"] = line.failed;
  out["substituted"] = line.substituted;
  out["prompt_tokens"] = line.usage.prompt_tokens;
  out["cached_tokens"] = line.usage.cached_tokens;
  out["completion_tokens"] = line.usage.completion_tokens;
  out["audio_seconds"] = static_cast<double>(line.usage.audio_ms) / 1000;
  out["images"] = line.usage.images;
  for (const auto& [key, value] : {std::pair{"tiles", line.usage.tiles}, {"steps", line.usage.steps}, {"characters", line.usage.characters}})
    if (value) out[key] = value;
  out["neurons"] = whole_neurons(line.neurons);
}

}  // namespace

double whole_neurons(int64_t micro) { return static_cast<double>(micro) / static_cast<double>(kMicro); }

Result<UsageQuery> usage_query(std::string_view from, std::string_view to, std::string_view by, int64_t today) {
  UsageQuery query;
  query.to_day = today;
  for (auto [name, text, day] : {std::tuple{"to", to, &query.to_day}, {"from", from, &query.from_day}}) {
    if (day == &query.from_day) query.from_day = query.to_day;
    if (text.empty()) continue;
    const auto parsed = parse_date(text);
    if (!parsed) return fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be a date such as 2026-11-24", name);
    *day = *parsed;
  }
  if (query.from_day > query.to_day) return fail_at(Code::InvalidInput, "/from", "'/from' must not be after '/to'");
  while (!by.empty()) {
    const size_t end = std::min(by.find(','), by.size());
    const std::string_view name = by.substr(0, end);
    by.remove_prefix(std::min(end + 1, by.size()));
    if (name == "account") query.by_account = true;
    else if (name == "day") query.by_day = true;
    else if (name == "gateway") query.by_gateway = true;
    else if (name == "model") query.by_model = true;
    else if (name == "task") query.by_task = true;
    else if (name == "answered_by") query.by_answered = true;
    else return fail_at(Code::InvalidInput, "/by", "'/by' takes day, model, answered_by, task, account and gateway, not '{:.32}'", name);
  }
  return query;
}

json::object usage_json(const UsageQuery& query, const std::vector<UsageLine>& lines) {
  json::object out{{"from", date_of(query.from_day)}, {"to", date_of(query.to_day)}};
  if (query.account) out["account"] = *query.account;
  json::array rows;
  UsageLine total;
  for (const UsageLine& line : lines) {
    json::object row;
    if (query.by_account) row["account"] = line.account;
    if (query.by_day) row["day"] = date_of(line.day);
    if (query.by_gateway) row["gateway"] = line.gateway;
    if (query.by_model) row["model"] = line.model;
    if (query.by_task) row["task"] = line.task;
    if (query.by_answered) row["answered_by"] = line.answered_by;
    add_sums(row, line);
    rows.push_back(std::move(row));
    total.requests += line.requests;
    total.failed += line.failed;
    total.substituted += line.substituted;
    total.neurons += line.neurons;
    total.usage += line.usage;
  }
  out["rows"] = std::move(rows);
  json::object sums;
  add_sums(sums, total);
  out["total"] = std::move(sums);
  return out;
}

json::object allocation_json(int64_t limit, int64_t used, int64_t resets_ms) {
  const auto seconds = static_cast<std::time_t>(resets_ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char time[32];
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
  json::object out{{"daily_neurons", nullptr}, {"used_today", whole_neurons(used)}, {"remaining", nullptr}, {"resets_at", time}};
  if (limit >= 0) {
    out["daily_neurons"] = whole_neurons(limit);
    out["remaining"] = whole_neurons(std::max<int64_t>(limit - used, 0));
  }
  return out;
}

}  // namespace verge::accounts
