// API tokens. A token's secret is shown once, when it is made; kept is its SHA-256 (the secret is 256
// random bits, so a plain hash is enough: there is nothing to guess).
//
// A1 Once a token was ever made, requests need one; revoking the last does not open the server again.
// A2 A revoked or unknown token, and any fault of the database, is a refusal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"
#include "support/error.h"

namespace verge::accounts {

struct Token {
  std::string id;       // public part of the secret: for lists and for revoking
  std::string name;     // for people
  std::string scope;    // "inference", or "admin": inference and everything else
  std::string account;  // the one account that it may use; empty = any
  int64_t created_ms = 0;
  int64_t revoked_ms = 0;  // 0 = valid
};

struct NewToken {
  Token token;
  std::string secret;  // "vrg_<id>_<43 characters>"
};

class Accounts {
 public:
  // The database is accounts.db in the data folder.
  static Result<Accounts> open(const std::string& data_folder);

  // InvalidInput: unknown scope, name longer than 64 bytes, account that is no valid id.
  Result<NewToken> create(const std::string& name, const std::string& scope, const std::string& account, int64_t now_ms);
  Result<std::vector<Token>> list();
  // NotFound: no such id. Revoking twice is no error.
  Result<Token> revoke(std::string_view id, int64_t now_ms);

  Result<bool> tokens_required();
  // Unauthenticated where the secret is not that of a valid token.
  Result<Token> verify(std::string_view secret);

 private:
  explicit Accounts(store::Db db) : db_(std::move(db)) {}
  Result<std::optional<Token>> find(std::string_view id, std::string& hash);

  store::Db db_;
  // Prepared once: both run for every request.
  std::optional<store::Statement> any_, find_;
  bool required_ = false;  // A1: never goes back to false
};

}  // namespace verge::accounts
