#include "accounts/accounts.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "support/limits.h"
#include "support/log.h"
#include "support/random.h"

namespace verge::accounts {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE tokens ("
    " id TEXT PRIMARY KEY,"
    " hash TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " scope TEXT NOT NULL CHECK (scope IN ('inference', 'admin')),"
    " account TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " revoked_ms INTEGER NOT NULL DEFAULT 0) STRICT",

    // Three scopes: what was "inference" is "run".
    "CREATE TABLE scoped_tokens ("
    " id TEXT PRIMARY KEY,"
    " hash TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " scope TEXT NOT NULL CHECK (scope IN ('read', 'run', 'admin')),"
    " account TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " revoked_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "INSERT INTO scoped_tokens SELECT id, hash, name, CASE scope WHEN 'inference' THEN 'run' ELSE scope END, account, created_ms, revoked_ms FROM tokens;"
    "DROP TABLE tokens;"
    "ALTER TABLE scoped_tokens RENAME TO tokens;"
    // NULL = nothing set; -1 = unlimited.
    "CREATE TABLE accounts ("
    " id TEXT PRIMARY KEY,"
    " daily_neurons INTEGER,"  // micro-neurons
    " concurrency INTEGER) STRICT;"
    "CREATE TABLE account_rates ("
    " account TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,"
    " task TEXT NOT NULL,"
    " per_minute INTEGER NOT NULL,"
    " PRIMARY KEY (account, task)) STRICT",
};

constexpr std::string_view kPrefix = "vrg_";
constexpr size_t kIdLength = 12;      // hexadecimal digits: 48 bits, enough to tell tokens apart
constexpr size_t kSecretLength = 43;  // 32 bytes as base64url without padding
constexpr size_t kTokenLength = kPrefix.size() + kIdLength + 1 + kSecretLength;

std::string hex(const unsigned char* bytes, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::string base64url(const unsigned char* bytes, size_t count) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < count; i += 3) {
    uint32_t group = static_cast<uint32_t>(bytes[i]) << 16;
    if (i + 1 < count) group |= static_cast<uint32_t>(bytes[i + 1]) << 8;
    if (i + 2 < count) group |= bytes[i + 2];
    for (size_t j = 0; j < 4 && (j < 2 || i + j - 1 < count); ++j) out += kAlphabet[(group >> (18 - 6 * j)) & 63];
  }
  return out;
}

std::string sha256(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex(digest.data(), digest.size());
}

bool plain_id(std::string_view text) {
  return text.size() <= limits::kAccountBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

constexpr const char* kColumns = "id, name, scope, account, created_ms, revoked_ms, hash";

Token read_token(const store::Statement& row) { return {row.text(0), row.text(1), row.text(2), row.text(3), row.number(4), row.number(5)}; }

constexpr std::string_view kScopes[] = {"read", "run", "admin"};  // each may what those before it may

size_t rank_of(std::string_view scope) { return static_cast<size_t>(std::ranges::find(kScopes, scope) - std::begin(kScopes)); }

// Beside the database, so that losing that does not open the server.
std::string marker_of(const std::string& folder) { return (std::filesystem::path(folder) / "tokens-required").string(); }

Result<void> write_marker(const std::string& folder) {
  constexpr std::string_view kText =
      "API tokens were made for this data folder, so that its server answers requests with a token only, also should\n"
      "accounts.db be lost. Remove this file to serve without tokens again.\n";
  const std::string path = marker_of(folder);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && ::write(fd, kText.data(), kText.size()) == static_cast<ssize_t>(kText.size()) && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written) return fail(Code::Io, "{}: {}", path, std::strerror(error));
  const int parent = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent >= 0) {
    ::fsync(parent);
    ::close(parent);
  }
  return {};
}

Error unknown_token() { return Error{Code::Unauthenticated, "no valid API token"}; }

}  // namespace

bool valid_account(std::string_view id) { return !id.empty() && plain_id(id); }

std::string valid_account_for(const std::string& id) { return valid_account(id) ? id : "sha256-" + sha256(id).substr(0, 57); }

bool Token::allows(std::string_view needed) const { return rank_of(scope) < std::size(kScopes) && rank_of(scope) >= rank_of(needed); }

Result<Accounts> Accounts::open(const std::string& data_folder) {
  VERGE_ASSIGN(db, store::Db::open((std::filesystem::path(data_folder) / "accounts.db").string(), kMigrations));
  Accounts accounts(data_folder, std::move(db));
  VERGE_ASSIGN(any, accounts.db_.prepare("SELECT EXISTS (SELECT 1 FROM tokens)"));
  VERGE_ASSIGN(find, accounts.db_.prepare(fmt::format("SELECT {} FROM tokens WHERE id = ?1", kColumns)));
  accounts.any_ = std::move(any);
  accounts.find_ = std::move(find);
  VERGE_ASSIGN(version, accounts.db_.prepare("PRAGMA data_version"));
  accounts.version_ = std::move(version);
  // Folders of before the marker.
  VERGE_ASSIGN(row, accounts.any_->step());
  const bool tokens = row && accounts.any_->number(0) != 0;
  accounts.any_->reset();
  std::error_code ec;
  if (tokens && !std::filesystem::exists(marker_of(data_folder), ec)) VERGE_TRY(write_marker(data_folder));
  return accounts;
}

Result<void> Accounts::follow() {
  std::error_code ec;
  // Only removed: what is open goes on to count.
  if (db_.place() != store::Db::Place::Moved || !std::filesystem::exists(std::filesystem::path(folder_) / "accounts.db", ec)) return {};
  log::warn("accounts.db was replaced: the new one counts", {{"folder", folder_}});
  VERGE_ASSIGN(again, open(folder_));
  const bool required = required_;
  *this = std::move(again);
  required_ = required;
  return {};
}

Result<NewToken> Accounts::create(const std::string& name, const std::string& wanted, const std::string& account, int64_t now_ms) {
  const std::string scope = wanted == "inference" ? "run" : wanted;
  if (rank_of(scope) == std::size(kScopes)) return fail(Code::InvalidInput, "scope must be read, run or admin, not '{}'", scope);
  if (name.size() > 64) return fail(Code::InvalidInput, "a token's name has at most 64 bytes");
  if (!plain_id(account)) return fail(Code::InvalidInput, "an account's id has letters, digits, '-' and '_' only, at most 64");
  std::array<unsigned char, kIdLength / 2> id;
  std::array<unsigned char, 32> secret;
  random_bytes(id.data(), id.size());
  random_bytes(secret.data(), secret.size());
  NewToken made;
  made.token = {hex(id.data(), id.size()), name, scope, account, now_ms, 0};
  made.secret = fmt::format("{}{}_{}", kPrefix, made.token.id, base64url(secret.data(), secret.size()));
  OPENSSL_cleanse(secret.data(), secret.size());
  VERGE_TRY(write_marker(folder_));  // first: a server that is killed between the two is closed, not open
  VERGE_ASSIGN(insert, db_.prepare("INSERT INTO tokens (id, hash, name, scope, account, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  insert.bind(1, made.token.id).bind(2, sha256(made.secret)).bind(3, name).bind(4, scope).bind(5, account).bind(6, now_ms);
  VERGE_TRY(insert.step());
  return made;
}

Result<std::vector<Token>> Accounts::list() {
  VERGE_ASSIGN(rows, db_.prepare(fmt::format("SELECT {} FROM tokens ORDER BY created_ms, id", kColumns)));
  std::vector<Token> tokens;
  while (true) {
    VERGE_ASSIGN(row, rows.step());
    if (!row) return tokens;
    tokens.push_back(read_token(rows));
  }
}

Result<Token> Accounts::revoke(std::string_view id, int64_t now_ms) {
  VERGE_ASSIGN(update, db_.prepare("UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms = 0"));
  update.bind(1, id).bind(2, now_ms);
  VERGE_TRY(update.step());
  std::string hash;
  VERGE_ASSIGN(token, find(id, hash));
  if (!token) return fail(Code::NotFound, "no token has the id '{}'", id);
  return *token;
}

Result<bool> Accounts::tokens_required() {
  VERGE_TRY(follow());
  if (required_) return true;
  VERGE_ASSIGN(row, any_->step());
  required_ = row && any_->number(0) != 0;
  any_->reset();
  std::error_code ec;
  if (!required_ && std::filesystem::exists(marker_of(folder_), ec))
    return fail(Code::Forbidden,
                "API tokens were made for this server's data folder, and its accounts.db has none: it was removed, emptied or replaced. Put a backup of "
                "accounts.db back, or make new tokens with 'verge token create', or remove 'tokens-required' beside it to serve without tokens");
  return required_;
}

Result<std::optional<Token>> Accounts::find(std::string_view id, std::string& hash) {
  find_->bind(1, id);
  auto row = find_->step();
  std::optional<Token> token;
  if (row && *row) {
    token = read_token(*find_);
    hash = find_->text(6);
  }
  find_->reset();
  if (!row) return row.error();
  return token;
}

Result<Token> Accounts::verify(std::string_view secret) {
  if (secret.size() != kTokenLength || !secret.starts_with(kPrefix) || secret[kPrefix.size() + kIdLength] != '_') return unknown_token();
  std::string kept;
  VERGE_ASSIGN(token, find(secret.substr(kPrefix.size(), kIdLength), kept));
  if (!token) return unknown_token();
  std::string given = sha256(secret);
  // In constant time: how much of a hash agrees must not show in the answer's delay.
  if (kept.size() != given.size() || CRYPTO_memcmp(kept.data(), given.data(), given.size()) != 0) return unknown_token();
  if (token->revoked_ms != 0) return unknown_token();
  return *token;
}

Result<void> Accounts::set(const std::string& account, const Settings& changes) {
  if (!valid_account(account)) return fail(Code::InvalidInput, "an account's id has letters, digits, '-' and '_' only, at most 64");
  VERGE_TRY(db_.execute("BEGIN IMMEDIATE"));
  const auto write = [&]() -> Result<void> {
    VERGE_ASSIGN(insert, db_.prepare("INSERT INTO accounts (id) VALUES (?1) ON CONFLICT DO NOTHING"));
    insert.bind(1, account);
    VERGE_TRY(insert.step());
    for (const auto& [column, value] : {std::pair{"daily_neurons", changes.daily_neurons}, {"concurrency", changes.concurrency}}) {
      if (!value) continue;
      const std::string text = *value == Settings::kUnset ? "NULL" : std::to_string(*value);
      VERGE_ASSIGN(update, db_.prepare(fmt::format("UPDATE accounts SET {} = {} WHERE id = ?1", column, text)));
      update.bind(1, account);
      VERGE_TRY(update.step());
    }
    for (const auto& [task, per_minute] : changes.rates) {
      VERGE_ASSIGN(change, db_.prepare(per_minute == Settings::kUnset
                                           ? "DELETE FROM account_rates WHERE account = ?1 AND task = ?2"
                                           : fmt::format("INSERT OR REPLACE INTO account_rates VALUES (?1, ?2, {})", per_minute)));
      change.bind(1, account).bind(2, task);
      VERGE_TRY(change.step());
    }
    return db_.execute("COMMIT");
  };
  known_version_ = -1;
  auto written = write();
  if (!written) (void)db_.execute("ROLLBACK");
  return written;
}

Result<bool> Accounts::remove(const std::string& account) {
  VERGE_ASSIGN(change, db_.prepare("DELETE FROM accounts WHERE id = ?1"));
  change.bind(1, account);
  VERGE_TRY(change.step());
  known_version_ = -1;
  return db_.changes() > 0;
}

Result<void> Accounts::refresh() {
  VERGE_TRY(follow());
  // Another process's commit changes the number; one's own does not.
  VERGE_ASSIGN(row, version_->step());
  const int64_t version = row ? version_->number(0) : 0;
  version_->reset();
  if (version == known_version_) return {};
  std::map<std::string, Settings, std::less<>> all;
  VERGE_ASSIGN(accounts, db_.prepare("SELECT id, daily_neurons, concurrency FROM accounts"));
  while (true) {
    VERGE_ASSIGN(more, accounts.step());
    if (!more) break;
    Settings& settings = all[accounts.text(0)];
    if (!accounts.is_null(1)) settings.daily_neurons = accounts.number(1);
    if (!accounts.is_null(2)) settings.concurrency = accounts.number(2);
  }
  VERGE_ASSIGN(rates, db_.prepare("SELECT account, task, per_minute FROM account_rates"));
  while (true) {
    VERGE_ASSIGN(more, rates.step());
    if (!more) break;
    all[rates.text(0)].rates[rates.text(1)] = rates.number(2);
  }
  settings_ = std::move(all);
  known_version_ = version;
  return {};
}

Result<const Settings*> Accounts::settings(std::string_view account) {
  static const Settings kNone;
  VERGE_TRY(refresh());
  auto found = settings_.find(account);
  return found == settings_.end() ? &kNone : &found->second;
}

Result<const std::map<std::string, Settings, std::less<>>*> Accounts::all_settings() {
  VERGE_TRY(refresh());
  return const_cast<const std::map<std::string, Settings, std::less<>>*>(&settings_);
}

}  // namespace verge::accounts
