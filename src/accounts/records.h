// Tokens and accounts' limits as the gateways of a cluster share them: a set of records that every gateway holds whole, and a
// rule of which of two versions of one record counts. Whatever the order in which records arrive, and however often, the same
// set is left everywhere. A token's secret is not among them: its hash is. Pure.
//
// RC1 A token's record never changes but for its revocation, and that is never taken back: who has not heard of it yet cannot
//    undo it.
// RC2 Of a setting the last change counts: the larger (version_ms, member).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verge::accounts {

struct TokenRecord {
  std::string id, hash;               // hexadecimal: 12 digits, SHA-256 of the secret
  std::string name, scope, account;   // as in Token
  int64_t created_ms = 0, expires_ms = 0, revoked_ms = 0;
  bool operator==(const TokenRecord&) const = default;
};

struct SettingRecord {
  std::string account;
  std::string field;             // "daily_neurons", "concurrency", "rate:TASK"; kAllFields: all older ones are void
  std::optional<int64_t> value;  // absent: the server's default
  int64_t version_ms = 0;        // Unix time of the change, and later than that of the record that it replaced
  std::string member;            // the gateway where it was made
  bool operator==(const SettingRecord&) const = default;
};

inline constexpr std::string_view kAllFields = "*", kRateField = "rate:";

struct Records {
  std::vector<TokenRecord> tokens;
  std::vector<SettingRecord> settings;
  bool empty() const { return tokens.empty() && settings.empty(); }
  size_t size() const { return tokens.size() + settings.size(); }
};

// Well-formed and within bounds, as it must be from another machine.
bool valid(const TokenRecord& record);
bool valid(const SettingRecord& record);

// What is left of two records with one id.
TokenRecord joined(const TokenRecord& a, const TokenRecord& b);
// Whether `a` replaces `b`: of one account and field, or where `a` is of all fields.
bool replaces(const SettingRecord& a, const SettingRecord& b);

// Two sets are compared in parts, so that a difference is found without sending all of it.
inline constexpr size_t kBuckets = 64;
using Digests = std::array<uint64_t, kBuckets>;
size_t bucket_of(const TokenRecord& record);
size_t bucket_of(const SettingRecord& record);  // one for all settings of an account
uint64_t digest_of(const TokenRecord& record);
uint64_t digest_of(const SettingRecord& record);
Digests digests_of(const Records& records);

}  // namespace verge::accounts
