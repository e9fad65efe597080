// The lease store of a cluster: one value an account and day in the bus's bucket "verge_quota" (NATS KV), changed by
// compare-and-set. LS1 to LS3 of accounts/lease_store.h.
#pragma once

#include "accounts/lease_store.h"
#include "cluster/bus.h"

namespace verge::cluster {

class QuotaStore final : public accounts::LeaseStore {
 public:
  explicit QuotaStore(Bus& bus) : bus_(bus) {}  // which outlives it

  task<Result<accounts::LeaseRecord>> get(accounts::LeaseKey key) override;
  task<Result<std::optional<uint64_t>>> compare_and_set(accounts::LeaseKey key, uint64_t expected, int64_t leased) override;

 private:
  Bus& bus_;
};

}  // namespace verge::cluster
