#include "accounts/records.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <tuple>

#include "accounts/accounts.h"
#include "support/utf8.h"

namespace verge::accounts {
namespace {

constexpr int64_t kLatestMs = int64_t{1} << 50;
constexpr int64_t kMostOfALimit = int64_t{1} << 60;
constexpr size_t kFieldBytes = 96, kMemberBytes = 63;

uint64_t hash_of(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  uint64_t out = 0;
  for (size_t i = 0; i < 8; ++i) out = out << 8 | digest[i];
  return out;
}

bool hexadecimal(std::string_view text, size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool time(int64_t ms) { return ms >= 0 && ms <= kLatestMs; }

bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

auto order(const TokenRecord& r) { return std::tie(r.hash, r.created_ms, r.expires_ms, r.scope, r.account, r.name); }
auto version(const SettingRecord& r) { return std::tie(r.version_ms, r.member); }

}  // namespace

bool valid(const TokenRecord& r) {
  return hexadecimal(r.id, kTokenIdDigits) && hexadecimal(r.hash, 2 * SHA256_DIGEST_LENGTH) && valid_token_name(r.name) && known_scope(r.scope) &&
         (r.account.empty() || valid_account(r.account)) && time(r.created_ms) && time(r.expires_ms) && time(r.revoked_ms);
}

bool valid(const SettingRecord& r) {
  const bool field = r.field == "daily_neurons" || r.field == "concurrency" || r.field == kAllFields ||
                     (r.field.starts_with(kRateField) && r.field.size() > kRateField.size() && r.field.size() <= kFieldBytes && printable(r.field));
  const bool value = !r.value || (*r.value >= Settings::kUnlimited && *r.value <= kMostOfALimit);
  return valid_account(r.account) && field && value && time(r.version_ms) && r.member.size() <= kMemberBytes && printable(r.member);
}

TokenRecord joined(const TokenRecord& a, const TokenRecord& b) {
  // Two of one id and different content are no work of this program's: any rule will do that all follow.
  TokenRecord out = order(a) <= order(b) ? a : b;
  if (a.hash != b.hash) return out;
  out.revoked_ms = a.revoked_ms && b.revoked_ms ? std::min(a.revoked_ms, b.revoked_ms) : std::max(a.revoked_ms, b.revoked_ms);
  return out;
}

bool replaces(const SettingRecord& a, const SettingRecord& b) {
  if (a.field != b.field && a.field != kAllFields) return false;
  if (version(a) != version(b)) return version(a) > version(b);
  return a.field == b.field ? a.value > b.value : true;
}

size_t bucket_of(const TokenRecord& record) { return hash_of("t" + record.id) % kBuckets; }
size_t bucket_of(const SettingRecord& record) { return hash_of("s" + record.account) % kBuckets; }

uint64_t digest_of(const TokenRecord& r) {
  return hash_of(fmt::format("t|{}|{}|{}|{}|{}|{}|{}|{}", r.id, r.hash, r.scope, r.account, r.created_ms, r.expires_ms, r.revoked_ms, r.name));
}

uint64_t digest_of(const SettingRecord& r) {
  return hash_of(fmt::format("s|{}|{}|{}|{}|{}", r.account, r.field, r.value ? std::to_string(*r.value) : "default", r.version_ms, r.member));
}

Digests digests_of(const Records& records) {
  Digests out{};
  for (const TokenRecord& record : records.tokens) out[bucket_of(record)] ^= digest_of(record);
  for (const SettingRecord& record : records.settings) out[bucket_of(record)] ^= digest_of(record);
  return out;
}

}  // namespace verge::accounts
