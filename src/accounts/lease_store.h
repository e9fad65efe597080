// Where the gateways of one cluster share what is left of an account's daily allocation: one number a day and
// account, changed by compare-and-set only. A single server has it in memory (local_lease_store.h), a cluster in
// NATS KV. What is in it and why is quota.h's.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "accounts/quota.h"
#include "support/error.h"

namespace verge::accounts {

template <class T>
using task = boost::asio::awaitable<T>;

// An account and a day: days since 1970-01-01 in UTC, on the gateway's own clock.
struct LeaseKey {
  std::string account;  // letters, digits, '-' and '_' only, at most 64 (accounts::valid_account)
  int64_t day = 0;
};

struct LeaseRecord {
  uint64_t revision = 0;  // 0 = there is no record yet; its number is 0 then
  int64_t leased = 0;     // micro-neurons handed out to gateways so far, all together. Never gets smaller.
};

// Owner: the one io thread. Cancellation ends a call early, with an error or by exception; whether a
// compare_and_set has happened is then unknown.
// LS1 compare_and_set changes the record only where its revision is `expected`, and gives it a new, larger one: of two
//    callers with the same expectation one wins.
// LS2 An error may mean that the change has happened all the same (an answer that got lost). The quota counts such
//    an amount as handed out to nobody: that loses a lease, never the bound.
// LS3 A store that cannot be reached answers with an error within a bounded time (limits::kLeaseStoreMs): requests wait
//    for it.
class LeaseStore {
 public:
  virtual ~LeaseStore() = default;

  // A key that is not there is {0, 0} and no error. Io or Timeout where the store cannot be reached.
  virtual task<Result<LeaseRecord>> get(LeaseKey key) = 0;

  // Sets `leased` where the record's revision is `expected` (0: where there is none). The new revision; nullopt where
  // another came first; an error as for get(), see L2.
  virtual task<Result<std::optional<uint64_t>>> compare_and_set(LeaseKey key, uint64_t expected, int64_t leased) = 0;
};

}  // namespace verge::accounts
