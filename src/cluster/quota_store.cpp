#include "cluster/quota_store.h"

#include <charconv>

namespace verge::cluster {
namespace {

constexpr const char* kBucket = "verge_quota";

// Account ids hold no dot, so the two parts cannot run into each other.
std::string name_of(const accounts::LeaseKey& key) { return fmt::format("{}.{}", key.account, key.day); }

Result<int64_t> number(const std::string& text) {
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < 0) return fail(Code::Io, "the cluster's quota record '{}' is damaged", text);
  return value;
}

}  // namespace

task<Result<accounts::LeaseRecord>> QuotaStore::get(accounts::LeaseKey key) {
  auto value = co_await bus_.get(kBucket, name_of(key));
  if (!value) co_return value.error();
  accounts::LeaseRecord record;
  if (*value) {
    auto leased = number((*value)->data);
    if (!leased) co_return leased.error();
    record.revision = (*value)->revision;
    record.leased = *leased;
  }
  co_return record;
}

task<Result<std::optional<uint64_t>>> QuotaStore::compare_and_set(accounts::LeaseKey key, uint64_t expected, int64_t leased) {
  std::string text = std::to_string(leased);
  co_return co_await bus_.put_if(kBucket, name_of(key), text, expected);
}

}  // namespace verge::cluster
