// The usage ledger on disk: usage.db in the data folder. One row a request that a model answered, and their sums by
// account, day, model and task, changed in the same transaction.
//
// U1 A row is there once, whatever is written or merged again: its key is (gateway, boot, seq).
// U2 The sums are those of the rows, after every transaction.
// U3 What write() has returned from is on disk (WAL, synchronous=FULL).
// One UsageBook is used by one thread; several may have the file open.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/event.h"
#include "store/db.h"
#include "support/error.h"

namespace verge::accounts {

struct UsageRow {
  std::string gateway;  // name of the one that admitted the request
  int64_t boot = 0;     // its start: Unix ms, never the same twice
  int64_t seq = 0;      // of its rows since then, from 1
  std::string id;       // cf-ai-req-id
  int64_t time_ms = 0;  // admission: it decides the day
  std::string account, model, task;
  std::string node;     // that answered
  protocol::Usage usage;
  int64_t neurons = 0;  // micro-neurons
  // "ok": the answer was complete before it was sent. "aborted": the client left; what was made until then is charged.
  // Else the error's code: nothing is charged, all units are 0.
  std::string outcome;
};

struct UsageQuery {
  std::optional<std::string> account;             // absent = all
  int64_t from_day = 0, to_day = INT64_MAX;       // days since 1970-01-01 UTC, both inclusive
  bool by_account = false, by_day = false, by_model = false, by_task = false;
};

// Sums of the requests that agree in what the query groups by; the other names are empty.
struct UsageLine {
  std::string account, model, task;
  int64_t day = 0;
  int64_t requests = 0, failed = 0;
  protocol::Usage usage;
  int64_t neurons = 0;
};

class UsageBook {
 public:
  static Result<UsageBook> open(const std::string& data_folder);

  // Rows that are there already change nothing. `sent`: nobody waits for them in pending(). The number of new rows.
  Result<int64_t> write(std::span<const UsageRow> rows, bool sent);
  // Own rows that no collector has yet, oldest first.
  Result<std::vector<UsageRow>> pending(int limit);
  Result<void> mark_sent(std::span<const UsageRow> rows);

  Result<std::vector<UsageLine>> report(const UsageQuery& query);
  Result<int64_t> neurons_of(const std::string& account, int64_t day);
  // A boot number for this start of a gateway: now, or one more than any that is there.
  Result<int64_t> next_boot(const std::string& gateway, int64_t now_ms);
  // Rows that are older and sent go; the sums stay.
  Result<void> forget_before(int64_t time_ms);

 private:
  explicit UsageBook(store::Db db) : db_(std::move(db)) {}
  Result<void> write_all(std::span<const UsageRow> rows, bool sent, int64_t& added);

  store::Db db_;
  std::optional<store::Statement> insert_, sum_;
};

// "2026-11-24" <-> days since 1970-01-01. nullopt: no such date.
std::string date_of(int64_t day);
std::optional<int64_t> parse_date(std::string_view text);

}  // namespace verge::accounts
