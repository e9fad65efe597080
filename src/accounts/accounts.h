// API tokens, and what accounts may use. A token's secret is shown once, when it is made; kept is its SHA-256 (the secret is 256
// random bits, so a plain hash is enough: there is nothing to guess).
//
// A1 Once a token was ever made, requests need one; revoking the last does not open the server again, nor does a database that
//    is lost, emptied or replaced: a file beside it, `tokens-required`, remembers.
// A2 A revoked or unknown token, and any fault of the database, is a refusal.
#pragma once

#include <cstdint>
#include <map>
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
  std::string scope;    // "read": lists and usage; "run": also inference; "admin": everything
  std::string account;  // the one account that it may use; empty = any
  int64_t created_ms = 0;
  int64_t revoked_ms = 0;  // 0 = valid

  // Whether it is good for what needs the scope `needed`.
  bool allows(std::string_view needed) const;
};

// What is set for one account; what is not set is the server's choice (see meter.h).
struct Settings {
  static constexpr int64_t kUnlimited = -1, kUnset = -2;
  std::optional<int64_t> daily_neurons;             // micro-neurons; or kUnlimited
  std::optional<int64_t> concurrency;               // requests at once; or kUnlimited
  std::map<std::string, int64_t, std::less<>> rates;  // task -> requests a minute; or kUnlimited
};

// Letters, digits, '-' and '_', 1 to 64 of them.
bool valid_account(std::string_view id);
// The id itself where it is valid, else one that is and stands for no other: without tokens an account may be called anything.
std::string valid_account_for(const std::string& id);

struct NewToken {
  Token token;
  std::string secret;  // "vrg_<id>_<43 characters>"
};

class Accounts {
 public:
  // The database is accounts.db in the data folder. Where it is replaced while it is open, the new one counts.
  static Result<Accounts> open(const std::string& data_folder);

  // "inference" is the old name of "run". InvalidInput: unknown scope, name longer than 64 bytes, account that is no valid id.
  Result<NewToken> create(const std::string& name, const std::string& scope, const std::string& account, int64_t now_ms);
  Result<std::vector<Token>> list();
  // NotFound: no such id. Revoking twice is no error.
  Result<Token> revoke(std::string_view id, int64_t now_ms);

  // Forbidden where tokens were made for this data folder and the database has none.
  Result<bool> tokens_required();
  // Unauthenticated where the secret is not that of a valid token.
  Result<Token> verify(std::string_view secret);

  // Changes what `changes` has; kUnset there takes a setting back. InvalidInput: no valid account id.
  Result<void> set(const std::string& account, const Settings& changes);
  // False: nothing was set for it. Tokens and usage stay.
  Result<bool> remove(const std::string& account);
  // Changes of other processes are seen at once. The pointer is good until the next call.
  Result<const Settings*> settings(std::string_view account);
  Result<const std::map<std::string, Settings, std::less<>>*> all_settings();

 private:
  Accounts(std::string folder, store::Db db) : folder_(std::move(folder)), db_(std::move(db)) {}
  // Opens the database again where another file is in its place.
  Result<void> follow();
  Result<std::optional<Token>> find(std::string_view id, std::string& hash);

  Result<void> refresh();

  std::string folder_;
  store::Db db_;
  // Prepared once: they run for every request.
  std::optional<store::Statement> any_, find_, version_;
  std::map<std::string, Settings, std::less<>> settings_;  // as of the database's known_version_
  int64_t known_version_ = -1;
  bool required_ = false;  // A1: never goes back to false
};

}  // namespace verge::accounts
