// The lease store of a server that is alone: in memory. What an account has spent today is in the usage ledger, so a
// record starts there and a restart loses nothing but leases that nobody holds any more.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "accounts/lease_store.h"

namespace verge::accounts {

class LocalLeaseStore final : public LeaseStore {
 public:
  using Spent = std::function<Result<int64_t>(const std::string& account, int64_t day)>;
  // spent: micro-neurons on the books already; called once a key. Empty: nothing is.
  explicit LocalLeaseStore(Spent spent = {}) : spent_(std::move(spent)) {}

  task<Result<LeaseRecord>> get(LeaseKey key) override;
  task<Result<std::optional<uint64_t>>> compare_and_set(LeaseKey key, uint64_t expected, int64_t leased) override;

 private:
  Spent spent_;
  std::map<std::pair<int64_t, std::string>, LeaseRecord> records_;  // by day, so that old days are in front
};

}  // namespace verge::accounts
