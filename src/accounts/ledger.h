// Writes the usage book from a thread of its own: what comes while one commit is on its way to the disk shares the
// next one, and the io thread never waits for the disk.
//
// UL1 commit() returns when the row is in the file. An answer's last event is sent after it, so that after kill -9 of this
//    process every answer whose end a client has seen is in the book, once. A power cut takes rows of the last
//    limits::kUsageSyncMs: they are synced together, since a sync of its own costs a row more than all else that a small request does.
// UL2 Where the disk fails (full, read-only), commit() returns all the same: answers go on. The rows stay in memory and
//    are tried again; `failing` and the log say so. At most limits::kUsageUnwritten are kept.
// Owner: server::Server, on the io thread, where everything but the writing happens. Destroying it writes what is there.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <vector>

#include "accounts/lease_store.h"
#include "accounts/usage_book.h"

namespace verge::accounts {

struct LedgerOptions {
  std::string gateway = "local";
  bool shared = false;  // with other gateways of a cluster
};

class Ledger {
 public:
  static Result<std::unique_ptr<Ledger>> open(boost::asio::any_io_executor executor, const std::string& data_folder, LedgerOptions options);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // gateway, boot and seq are filled in.
  task<void> commit(UsageRow row);
  void add(UsageRow row);  // the same, without waiting

  // Merges rows of another gateway: all that it has after `after`, up to `upto`. False: some before them are missing here, or the
  // disk failed; try again later.
  task<bool> merge(std::string gateway, UsageMark after, UsageMark upto, std::vector<UsageRow> rows);

  // Of what is committed.
  Result<std::vector<UsageLine>> report(const UsageQuery& query);
  Result<int64_t> neurons_of(const std::string& account, int64_t day);      // all gateways'
  Result<int64_t> own_neurons_of(const std::string& account, int64_t day);  // this gateway's
  Result<std::vector<UsageRow>> own_rows_after(UsageMark after, int limit);
  Result<UsageMark> own_last();
  Result<std::map<std::string, UsageMark>> marks();  // as UsageBook's

  size_t unwritten() const;  // rows that wait for the disk
  bool failing() const;

 private:
  struct Impl;
  explicit Ledger(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::accounts
