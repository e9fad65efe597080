#include "accounts/local_lease_store.h"

namespace verge::accounts {

task<Result<LeaseRecord>> LocalLeaseStore::get(LeaseKey key) {
  // A request of before midnight may come after one of today: only what is two days old is certain to be of no use.
  while (!records_.empty() && records_.begin()->first.first < key.day - 1) records_.erase(records_.begin());
  const std::pair name{key.day, key.account};
  auto found = records_.find(name);
  if (found != records_.end()) co_return found->second;
  if (!spent_) co_return LeaseRecord{};
  auto spent = spent_(key.account, key.day);
  if (!spent) co_return spent.error();
  if (*spent == 0) co_return LeaseRecord{};
  const LeaseRecord record{1, *spent};
  records_.emplace(name, record);
  co_return record;
}

task<Result<std::optional<uint64_t>>> LocalLeaseStore::compare_and_set(LeaseKey key, uint64_t expected, int64_t leased) {
  LeaseRecord& record = records_[{key.day, std::move(key.account)}];
  if (record.revision != expected) co_return std::optional<uint64_t>();
  record.revision = expected + 1;
  record.leased = leased;
  co_return std::optional<uint64_t>(record.revision);
}

}  // namespace verge::accounts
