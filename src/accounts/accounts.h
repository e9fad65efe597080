// API tokens, and what accounts may use. A token's secret is shown once, when it is made; kept is its SHA-256 (the secret is 256
// random bits, so a plain hash is enough: there is nothing to guess).
//
// AC1 Once a token was ever made, requests need one; revoking the last does not open the server again, nor does a database that
//    is lost, emptied or replaced: a file beside it, `tokens-required`, remembers.
// AC2 A revoked, expired or unknown token, and any fault of the database, is a refusal.
// AC3 A gateway that has not heard yet whether its cluster wants tokens answers nobody (join()).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/records.h"
#include "store/db.h"
#include "support/error.h"

namespace verge::accounts {

struct Token {
  std::string id;       // public part of the secret: for lists and for revoking
  std::string name;     // for people
  std::string scope;    // "metrics": those alone; "read": lists and usage; "run": also inference; "admin": everything
  std::string account;  // the one account that it may use; empty = any
  int64_t created_ms = 0;
  int64_t revoked_ms = 0;  // 0 = valid
  int64_t expires_ms = 0;  // 0 = never
  int64_t used_ms = 0;     // last use, to some minutes; 0 = never

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

inline constexpr size_t kTokenIdDigits = 12;  // hexadecimal: 48 bits, enough to tell tokens apart
bool known_scope(std::string_view scope);
// UTF-8 without control characters, at most 64 bytes.
bool valid_token_name(std::string_view name);
// Hexadecimal SHA-256.
std::string token_hash(std::string_view secret);

// Tokens of `--tokens FILE` (token_file.h), by their hash.
using TokenFile = std::map<std::string, Token, std::less<>>;

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

  // For a server, which asks for every request: what other processes change is noticed after so long, in ms; a token that they
  // revoke is refused at once all the same. 0, as it begins: all is noticed at once.
  void look_every(int64_t ms) { look_every_ms_ = ms; }

  // "inference" is the old name of "run"; expires_ms: 0 = never. InvalidInput: unknown scope, name longer than 64 bytes, account that is no valid id.
  Result<NewToken> create(const std::string& name, const std::string& scope, const std::string& account, int64_t now_ms, int64_t expires_ms = 0);
  Result<std::vector<Token>> list();
  // NotFound: no such id. Revoking twice is no error.
  Result<Token> revoke(std::string_view id, int64_t now_ms);

  // Forbidden where tokens were made for this data folder or its cluster and there are none here; WorkerGone: see A3.
  Result<bool> tokens_required();
  // Unauthenticated where the secret is not that of a valid token.
  Result<Token> verify(std::string_view secret, int64_t now_ms);
  // Writes when tokens were used last, and returns what was news.
  Result<std::map<std::string, int64_t>> write_uses();
  // As another gateway has it.
  Result<void> merge_uses(const std::map<std::string, int64_t>& used_ms);
  // These tokens count too, instead of those that were given before; and tokens are required.
  Result<void> use_file(TokenFile tokens);

  // Changes what `changes` has; kUnset there takes a setting back. InvalidInput: no valid account id.
  Result<void> set(const std::string& account, const Settings& changes, int64_t now_ms);
  // False: nothing was set for it. Tokens and usage stay.
  Result<bool> remove(const std::string& account, int64_t now_ms);
  // The pointer is good until the next call.
  Result<const Settings*> settings(std::string_view account);
  Result<const std::map<std::string, Settings, std::less<>>*> all_settings();

  // ---- In a cluster, whose gateways all hold the same records

  // This is gateway `member` of the cluster that `cluster` names, and changes are made in its name. Until heard() was called once
  // for this cluster, by this data folder, it is not known whether requests need a token: A3.
  Result<void> join(const std::string& member, const std::string& cluster);
  // What another gateway, or their shared record, says. Closed is for ever.
  Result<void> heard(bool closed);
  bool unheard() const { return unheard_; }
  // Whether tokens are required as far as is known here.
  bool closed();
  // Changes with every change of records, whoever makes it.
  Result<std::pair<int64_t, int64_t>> generation();
  // All that are valid(); names that are no proper text are made so.
  Result<Records> records();
  // Brings in what is news here. The number of records that it changed. All are valid().
  Result<int64_t> merge(const Records& records);
  // How many gateways there are, as this one last knew: for limits while the bus is away.
  Result<void> remember_gateways(int64_t count);
  Result<int64_t> remembered_gateways();

 private:
  Accounts(std::string folder, store::Db db) : folder_(std::move(folder)), db_(std::move(db)) {}
  // Opens the database again where another file is in its place.
  Result<void> follow();
  // Whether what was found at that time may still be gone by.
  bool recent(int64_t found_ms) const;
  Result<std::optional<Token>> find(std::string_view id, std::string& hash);

  Result<void> refresh();
  Result<void> write_setting(const std::string& account, const std::string& field, std::optional<int64_t> value, int64_t version_ms);
  Result<int64_t> next_version(const std::string& account, int64_t now_ms);
  Result<std::string> noted(const std::string& key);
  Result<void> note(const std::string& key, const std::string& value);
  // A number of rows, as the work returns it.
  Result<int64_t> in_transaction(const std::function<Result<int64_t>()>& work);

  std::string folder_;
  store::Db db_;
  // Prepared once: they run for every request.
  std::optional<store::Statement> any_, find_, version_;
  std::map<std::string, Settings, std::less<>> settings_;  // as of the generation known_
  std::pair<int64_t, int64_t> known_{-1, -1};
  int64_t look_every_ms_ = 0;
  int64_t followed_ms_ = 0, refreshed_ms_ = 0;
  std::pair<int64_t, int64_t> open_{0, -1};  // when no token was required, and after which own changes
  int64_t written_ = 0;    // own changes, of which the database's version does not tell
  bool required_ = false;  // AC1: never goes back to false
  std::string cluster_;    // empty: in none
  bool unheard_ = false;
  bool file_given_ = false;
  TokenFile file_;
  std::map<std::string, int64_t> uses_;  // not written yet
};

}  // namespace verge::accounts
