// What accounts have used. The published API has it in GraphQL analytics only; these two routes are Verge's own:
//   GET /client/v4/accounts/{account}/ai/usage   one account: for its own tokens
//   GET /verge/v1/usage                          all accounts, or ?account=: for administrators
// Query: from, to (dates, both inclusive, UTC; absent = today), by (day, model, answered_by, task, account, gateway; comma-separated).
#include <limits>

#include "accounts/ledger.h"
#include "accounts/meter.h"
#include "accounts/usage_json.h"
#include "api/endpoints/endpoints.h"
#include "support/clock.h"

namespace verge::api {
namespace {

Result<accounts::UsageQuery> read_query(const http::Incoming& in) {
  return accounts::usage_query(in.query_param("from").value_or(""), in.query_param("to").value_or(""), in.query_param("by").value_or(""),
                               accounts::day_of(unix_ms()));
}

http::task<void> answer_report(Call& call, accounts::UsageQuery query) {
  accounts::Meter* meter = call.context.options.meter;
  if (!meter || !meter->ledger()) return respond_error(call, fail(Code::NotFound, "this server keeps no usage ledger"));
  auto lines = meter->ledger()->report(query);
  if (!lines) return respond_error(call, own_failure(lines.error()));
  json::object out = accounts::usage_json(query, *lines);
  if (query.account) {
    auto allocation = meter->allocation(*query.account);
    if (!allocation) return respond_error(call, own_failure(allocation.error()));
    out["allocation"] = accounts::allocation_json(allocation->limit, allocation->used, allocation->resets_ms);
  }
  return respond_envelope(call, std::move(out));
}

}  // namespace

http::task<void> account_usage(Call& call) {
  auto query = read_query(call.in);
  if (!query) return respond_error(call, query.error());
  query->account = call.tenant;
  return answer_report(call, std::move(*query));
}

http::task<void> all_usage(Call& call) {
  auto query = read_query(call.in);
  if (!query) return respond_error(call, query.error());
  if (auto account = call.in.query_param("account")) query->account = std::move(*account);
  return answer_report(call, std::move(*query));
}

}  // namespace verge::api
