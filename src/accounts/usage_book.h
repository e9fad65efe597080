// The usage ledger on disk: usage.db in the data folder. One row a request that a model answered, this gateway's own and those
// merged from others of its cluster, and their sums by account, day, gateway, model and task, changed in the same transaction.
//
// U1 A row is there once, whatever is written or merged again: its key is (gateway, boot, seq), and nothing before a gateway's
//    mark is merged again, even where it is forgotten by now.
// U2 The sums are those of the rows, after every transaction.
// U3 What write() has returned from survives the end of the process, however it ends; after sync() also a power cut.
// U4 A gateway's rows are ordered by (boot, seq), and a new one comes after all that are on its disk. So one mark says which of
//    them somebody else has.
// One UsageBook is used by one thread; several may have the file open.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
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
  std::string answered_by;  // id of the model that did: a stand-in's own; empty = not known (rows of older programs)
  protocol::Usage usage;
  int64_t neurons = 0;  // micro-neurons
  // "ok": the answer was complete before it was sent. "aborted": the client left; what was made until then is charged.
  // Else the error's code: nothing is charged, all units are 0.
  std::string outcome;

  bool operator==(const UsageRow&) const = default;
};

// A place in one gateway's rows: everything up to and with this one. {0, 0}: before the first.
struct UsageMark {
  int64_t boot = 0, seq = 0;
  auto operator<=>(const UsageMark&) const = default;
};
inline UsageMark mark_of(const UsageRow& row) { return {row.boot, row.seq}; }

struct UsageQuery {
  std::optional<std::string> account;             // absent = all
  int64_t from_day = 0, to_day = INT64_MAX;       // days since 1970-01-01 UTC, both inclusive
  bool by_account = false, by_day = false, by_gateway = false, by_model = false, by_task = false, by_answered = false;
};

// Sums of the requests that agree in what the query groups by; the other names are empty.
struct UsageLine {
  std::string account, gateway, model, task, answered_by;
  int64_t day = 0;
  int64_t requests = 0, failed = 0, substituted = 0;  // substituted: answered by another model than the one that was asked for
  protocol::Usage usage;
  int64_t neurons = 0;
};

class UsageBook {
 public:
  // For this process alone (Busy where another has it). The database is usage.db in the data folder.
  static Result<UsageBook> open(const std::string& data_folder);
  // As it is on the disk now, whoever writes it: a copy, which is gone with the book.
  static Result<UsageBook> snapshot(const std::string& data_folder);

  store::Db::Place place() const { return db_.place(); }
  Result<void> copy_to(const std::string& path) { return db_.copy_to(path); }

  // This gateway's own. Rows that are there already change nothing. The number of new rows.
  Result<int64_t> write(std::span<const UsageRow> rows);
  // Brings what was written to the disk itself.
  Result<void> sync();
  // Rows of another gateway: all that it has after `after`, up to `upto`. False: some before them are missing here, and nothing
  // was written. True: the gateway's mark is `upto` or further.
  Result<bool> merge(const std::string& gateway, UsageMark after, UsageMark upto, std::span<const UsageRow> rows);
  // How far the rows of other gateways are here. This one's own name, where it is of a cluster, has {0, 0}.
  Result<std::map<std::string, UsageMark>> marks();
  // Of one gateway, in their order. Fewer than `limit`: there are no more.
  Result<std::vector<UsageRow>> rows_after(const std::string& gateway, UsageMark after, int limit);
  Result<UsageMark> last_of(const std::string& gateway);
  // Before this book's rows are shown to a cluster in which this gateway has that name: what it wrote under another name while it
  // was alone (nobody else has those rows) becomes that name's.
  Result<void> share_as(const std::string& gateway);

  Result<std::vector<UsageLine>> report(const UsageQuery& query);
  // Of all gateways, or of one.
  Result<int64_t> neurons_of(const std::string& account, int64_t day, const std::optional<std::string>& gateway = {});
  // A boot number for this start of a gateway: now, or one more than any that is there.
  Result<int64_t> next_boot(const std::string& gateway, int64_t now_ms);
  // Rows that are older go; the sums stay.
  Result<void> forget_before(int64_t time_ms);

 private:
  // Removes a folder when it goes.
  struct Remove {
    void operator()(const std::string* folder) const;
  };
  explicit UsageBook(store::Db db) : db_(std::move(db)) {}
  Result<int64_t> write_all(std::span<const UsageRow> rows);
  Result<bool> merge_all(const std::string& gateway, UsageMark after, UsageMark upto, std::span<const UsageRow> rows);
  template <class Work>
  auto in_transaction(Work work) -> decltype(work());

  std::unique_ptr<const std::string, Remove> copy_;  // of a snapshot
  store::Db db_;
  std::optional<store::Statement> begin_, commit_, insert_, sum_;  // prepared once: they run for every answer
};

// "2026-11-24" <-> days since 1970-01-01. nullopt: no such date.
std::string date_of(int64_t day);
std::optional<int64_t> parse_date(std::string_view text);

}  // namespace verge::accounts
