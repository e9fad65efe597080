// `--tokens FILE`: tokens that somebody else makes and keeps, a line each; they count beside those of accounts.db. Pure.
//
//   # a comment
//   sha256:9f86d081884c7d65…   scope=run account=acme name=ci expires=2027-01-31
//   vrg_0123456789ab_…         scope=read
//
// First the secret, or better its SHA-256; then, in any order, what `verge token create` takes too.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "accounts/accounts.h"

namespace verge::accounts {

// By the secret's hash. InvalidInput names the line.
Result<TokenFile> parse_token_file(std::string_view text);

// "30d" (also h, w, y) from `now_ms` on, or a date such as 2027-01-31, at whose beginning (UTC) it ends. InvalidInput.
Result<int64_t> parse_expiry(std::string_view text, int64_t now_ms);

}  // namespace verge::accounts
