// What gateways tell each other about tokens and accounts' limits (account_gossip.h), as JSON. It comes from other machines:
// bounded and checked, and a message with anything wrong in it counts as not received. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "accounts/records.h"
#include "support/error.h"

namespace verge::cluster {

inline constexpr size_t kAccountMessageBytes = 256 << 10;

// What somebody holds, as digests of its parts.
struct AccountDigests {
  accounts::Digests parts{};
  bool closed = false;  // tokens are required there
};
// Some records; `part`: they are all of that part.
struct AccountRecords {
  accounts::Records records;
  std::optional<size_t> part;
  uint64_t digest = 0;  // of that part
};
// When tokens were used last: by id, Unix ms.
struct TokenUses {
  std::map<std::string, int64_t> used_ms;
};
using AccountMessage = std::variant<AccountDigests, AccountRecords, TokenUses>;

std::string encode(const AccountDigests& digests);
// Messages that hold all of them; a part's digest is in the last one.
std::vector<std::string> encode(const AccountRecords& records);
std::vector<std::string> encode(const TokenUses& uses);

// `from`: for the error. InvalidInput; UnsupportedParameter: of a newer version.
Result<AccountMessage> decode_accounts(std::string_view text, const std::string& from);

// "verge.accounts.<name>"
std::string account_subject(const std::string& name);
// Whose subject that is; nullopt: nobody's.
std::optional<std::string> parse_account_subject(std::string_view subject);

}  // namespace verge::cluster
