// What stands between a request and the models for its account's sake: concurrency, requests a minute, the daily
// allocation of neurons; and afterwards the row in the usage ledger. The shell around quota.h and rate.h.
//
// Which limits hold: what is set for the account; else, with `published_limits`, the published ones (10,000 neurons a
// day, each task's requests a minute); else none.
//
// MT1 A Charge that was never booked gives everything back when it goes.
// MT2 A request is charged on the day of its admission.
// Owner: server::Server, on the io thread. The lease store and the ledger outlive it.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

#include "accounts/accounts.h"
#include "accounts/ledger.h"
#include "accounts/quota.h"
#include "accounts/shared_counts.h"
#include "catalogue/catalogue.h"
#include "protocol/event.h"
#include "support/metrics.h"

namespace verge::accounts {

struct MeterOptions {
  bool published_limits = false;
  int cut_off_percent = 5;  // of its allocation that an account may spend here while the lease store cannot be reached
  const SharedCounts* elsewhere = nullptr;  // what other gateways have of accounts; null: there are none
};

// A request on its way in.
struct Claim {
  std::string account, id;
  const catalogue::Entry* entry = nullptr;
  std::string model;  // what was asked for, as it is booked; empty = the entry's id
  protocol::Usage estimate;  // no lower than what it will take, where that can be told
};

class Meter;
struct AccountState;

// An admitted request: holds its place among the account's concurrent ones and its reserved neurons.
class Charge {
 public:
  Charge() = default;
  Charge(Charge&& other) noexcept;
  Charge& operator=(Charge&& other) noexcept;
  ~Charge();

 private:
  friend class Meter;
  void give_back();

  Meter* meter_ = nullptr;  // null = holds nothing
  std::shared_ptr<AccountState> state_;
  Reservation reservation_;
  Claim claim_;
  int64_t time_ms_ = 0;
  int64_t entered_ms_ = 0;  // monotonic
};

// Today, as shown to the account.
struct Allocation {
  int64_t limit = 0;  // micro-neurons; < 0 = unlimited
  int64_t used = 0;
  int64_t resets_ms = 0;  // Unix time of the next 00:00 UTC
};

class Meter {
 public:
  // ledger may be null: nothing is recorded then.
  Meter(boost::asio::any_io_executor executor, Accounts& accounts, const catalogue::Catalogue& catalogue, LeaseStore& leases, Ledger* ledger,
        metrics::Registry& metrics, MeterOptions options);
  ~Meter();

  // QuotaUsed (until midnight UTC) and RateLimited, both with retry_after_ms.
  task<Result<Charge>> admit(Claim claim);

  // The answer is complete: waits until its row is on disk. Give the usage before anything of the answer's end is sent.
  // `answered_by`: the model that did.
  task<void> book(Charge& charge, protocol::Usage usage, std::string node, std::string answered_by);
  // The client left: what was made is charged. Nobody waits.
  void book_aborted(Charge& charge, protocol::Usage usage, std::string node, std::string answered_by);
  // A model was asked and failed: a row, and nothing is charged.
  void book_failure(Charge& charge, Code code, std::string node, std::string answered_by);

  int64_t neurons(const catalogue::Entry& entry, const protocol::Usage& usage) const;
  Result<Allocation> allocation(const std::string& account);
  // Of accounts with limits of requests: for the other gateways.
  SharedCounts::Told counts();
  Ledger* ledger() { return ledger_; }

 private:
  friend class Charge;
  struct Limits;

  Result<std::shared_ptr<AccountState>> state_of(const std::string& account, bool limited);
  Result<Limits> limits_of(const Claim& claim);
  // Within the limits of requests: places are taken; else why not.
  task<Result<void>> enter(std::shared_ptr<AccountState> state, Limits limits);
  void leave(AccountState& state, int64_t entered_ms);
  Error refusal(std::string_view account, std::string_view reason, Error error);
  void lease(std::shared_ptr<AccountState> state, int64_t wanted, int64_t limit);
  task<void> take_lease(std::shared_ptr<AccountState> state, int64_t wanted, int64_t limit);
  UsageRow settle(Charge& charge, const protocol::Usage& usage, std::string node, std::string answered_by, std::string outcome, bool charged);

  boost::asio::any_io_executor executor_;
  Accounts& accounts_;
  const catalogue::Catalogue& catalogue_;
  LeaseStore& leases_;
  Ledger* ledger_;
  MeterOptions options_;
  std::map<std::string, std::shared_ptr<AccountState>, std::less<>> states_;
  std::map<std::string, std::shared_ptr<AccountState>, std::less<>> told_;  // those of counts()
  metrics::Counter requests_, neurons_, refusals_;
  metrics::Gauge unwritten_;
};

}  // namespace verge::accounts
