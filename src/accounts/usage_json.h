// The usage report's question and answer as text and JSON: one form for the API and the command. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "accounts/usage_book.h"
#include "support/json.h"

namespace verge::accounts {

// from, to: dates such as 2026-11-24, both inclusive; empty = `today` (from: that of `to`). by: names of account, day,
// gateway, model, task, answered_by, separated by commas; empty = one sum. InvalidInput names what is wrong.
Result<UsageQuery> usage_query(std::string_view from, std::string_view to, std::string_view by, int64_t today);

// {"from","to","account","rows":[{…groups, requests, failed, substituted, units, neurons}],"total":{…}}
json::object usage_json(const UsageQuery& query, const std::vector<UsageLine>& lines);

// {"daily_neurons": null = unlimited, "used_today", "remaining", "resets_at"}
json::object allocation_json(int64_t limit, int64_t used, int64_t resets_ms);

// Micro-neurons as a number of neurons.
double whole_neurons(int64_t micro);

}  // namespace verge::accounts
