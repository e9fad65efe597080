#include "accounts/accounts.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "accounts/marker.h"
#include "support/clock.h"
#include "support/hex.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/random.h"
#include "support/utf8.h"

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

    // What a cluster's gateways share (records.h). NULL = the server's default; -1 = unlimited. Settings of before are older than
    // any change.
    "CREATE TABLE kept_tokens ("
    " id TEXT PRIMARY KEY,"
    " hash TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " scope TEXT NOT NULL CHECK (scope IN ('metrics', 'read', 'run', 'admin')),"
    " account TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL DEFAULT 0,"
    " revoked_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "INSERT INTO kept_tokens (id, hash, name, scope, account, created_ms, revoked_ms)"
    " SELECT id, hash, name, scope, account, created_ms, revoked_ms FROM tokens;"
    "DROP TABLE tokens;"
    "ALTER TABLE kept_tokens RENAME TO tokens;"
    "CREATE TABLE token_uses (id TEXT PRIMARY KEY, used_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE settings ("
    " account TEXT NOT NULL,"
    " field TEXT NOT NULL,"
    " value INTEGER,"
    " version_ms INTEGER NOT NULL,"
    " member TEXT NOT NULL,"
    " PRIMARY KEY (account, field)) STRICT;"
    "INSERT INTO settings SELECT id, 'daily_neurons', daily_neurons, 1, '' FROM accounts WHERE daily_neurons IS NOT NULL;"
    "INSERT INTO settings SELECT id, 'concurrency', concurrency, 1, '' FROM accounts WHERE concurrency IS NOT NULL;"
    "INSERT INTO settings SELECT account, 'rate:' || task, per_minute, 1, '' FROM account_rates;"
    "DROP TABLE account_rates;"
    "DROP TABLE accounts;"
    "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
};

constexpr std::string_view kPrefix = "vrg_";
constexpr size_t kIdLength = kTokenIdDigits;
constexpr size_t kSecretLength = 43;  // 32 bytes as base64url without padding
constexpr size_t kTokenLength = kPrefix.size() + kIdLength + 1 + kSecretLength;

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

bool plain_id(std::string_view text) {
  return text.size() <= limits::kAccountBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

constexpr const char* kColumns = "id, name, scope, account, created_ms, revoked_ms, expires_ms, hash";
constexpr int kHashColumn = 7;

Token read_token(const store::Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.number(4), row.number(5), row.number(6), 0};
}

constexpr std::string_view kScopes[] = {"read", "run", "admin"};  // each may what those before it may
constexpr std::string_view kMetricsScope = "metrics";             // ... and that one only this, as "admin" may too

size_t rank_of(std::string_view scope) { return static_cast<size_t>(std::ranges::find(kScopes, scope) - std::begin(kScopes)); }

Error unknown_token() { return Error{Code::Unauthenticated, "no valid API token"}; }

}  // namespace

std::string token_hash(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex(digest);
}

bool known_scope(std::string_view scope) { return scope == kMetricsScope || rank_of(scope) < std::size(kScopes); }

bool valid_token_name(std::string_view name) {
  return name.size() <= 64 && is_utf8(name) && std::ranges::none_of(name, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

bool valid_account(std::string_view id) { return !id.empty() && plain_id(id); }

std::string valid_account_for(const std::string& id) { return valid_account(id) ? id : "sha256-" + token_hash(id).substr(0, 57); }

bool Token::allows(std::string_view needed) const {
  if (needed == kMetricsScope) return scope == kMetricsScope || scope == "admin";
  return rank_of(scope) < std::size(kScopes) && rank_of(scope) >= rank_of(needed);
}

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

bool Accounts::recent(int64_t found_ms) const { return look_every_ms_ > 0 && found_ms > 0 && monotonic_ms() < found_ms + look_every_ms_; }

Result<void> Accounts::follow() {
  if (recent(followed_ms_)) return {};
  followed_ms_ = monotonic_ms();
  std::error_code ec;
  // Only removed: what is open goes on to count.
  if (db_.place() != store::Db::Place::Moved || !std::filesystem::exists(std::filesystem::path(folder_) / "accounts.db", ec)) return {};
  log::warn("accounts.db was replaced: the new one counts", {{"folder", folder_}});
  VERGE_ASSIGN(again, open(folder_));
  again.required_ = required_;
  again.written_ = written_ + 1;
  again.cluster_ = cluster_;
  again.unheard_ = unheard_;
  again.file_given_ = file_given_;
  again.look_every_ms_ = look_every_ms_;
  again.file_ = std::move(file_);
  again.uses_ = std::move(uses_);
  *this = std::move(again);
  return {};
}

Result<int64_t> Accounts::in_transaction(const std::function<Result<int64_t>()>& work) {
  VERGE_TRY(db_.execute("BEGIN IMMEDIATE"));
  auto done = work();
  if (done) {
    auto committed = db_.execute("COMMIT");
    if (committed && *done > 0) ++written_;
    if (committed) return done;
    done = committed.error();
  }
  (void)db_.execute("ROLLBACK");
  return done;
}

Result<NewToken> Accounts::create(const std::string& name, const std::string& wanted, const std::string& account, int64_t now_ms, int64_t expires_ms) {
  const std::string scope = wanted == "inference" ? "run" : wanted;
  if (!known_scope(scope)) return fail(Code::InvalidInput, "scope must be metrics, read, run or admin, not '{}'", scope);
  if (!valid_token_name(name)) return fail(Code::InvalidInput, "a token's name is UTF-8 text without control characters, at most 64 bytes");
  if (!plain_id(account)) return fail(Code::InvalidInput, "an account's id has letters, digits, '-' and '_' only, at most 64");
  std::array<unsigned char, kIdLength / 2> id;
  std::array<unsigned char, 32> secret;
  random_bytes(id.data(), id.size());
  random_bytes(secret.data(), secret.size());
  NewToken made;
  made.token = {hex(id), name, scope, account, now_ms, 0, expires_ms, 0};
  made.secret = fmt::format("{}{}_{}", kPrefix, made.token.id, base64url(secret.data(), secret.size()));
  OPENSSL_cleanse(secret.data(), secret.size());
  VERGE_TRY(write_marker(folder_));  // first: a server that is killed between the two is closed, not open
  ++written_;
  VERGE_ASSIGN(insert, db_.prepare("INSERT INTO tokens (id, hash, name, scope, account, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  insert.bind(1, made.token.id).bind(2, token_hash(made.secret)).bind(3, name).bind(4, scope).bind(5, account).bind(6, now_ms).bind(7, expires_ms);
  VERGE_TRY(insert.step());
  return made;
}

Result<std::vector<Token>> Accounts::list() {
  VERGE_ASSIGN(rows, db_.prepare(fmt::format("SELECT {}, (SELECT used_ms FROM token_uses u WHERE u.id = tokens.id) FROM tokens ORDER BY created_ms, id", kColumns)));
  std::vector<Token> tokens;
  while (true) {
    VERGE_ASSIGN(row, rows.step());
    if (!row) return tokens;
    tokens.push_back(read_token(rows));
    tokens.back().used_ms = rows.number(kHashColumn + 1);
  }
}

Result<Token> Accounts::revoke(std::string_view id, int64_t now_ms) {
  VERGE_ASSIGN(update, db_.prepare("UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms = 0"));
  update.bind(1, id).bind(2, now_ms);
  VERGE_TRY(update.step());
  ++written_;
  std::string hash;
  VERGE_ASSIGN(token, find(id, hash));
  if (!token) return fail(Code::NotFound, "no token has the id '{}' ('verge token list' shows them)", id);
  return *token;
}

Result<bool> Accounts::tokens_required() {
  VERGE_TRY(follow());
  if (required_ || file_given_) return true;
  if (recent(open_.first) && open_.second == written_) return false;
  VERGE_ASSIGN(row, any_->step());
  required_ = row && any_->number(0) != 0;
  any_->reset();
  if (required_) return true;
  std::error_code ec;
  if (std::filesystem::exists(marker_of(folder_), ec))
    return fail(Code::Forbidden,
                "API tokens were made for this server or its cluster, and its accounts.db has none: it was removed, emptied or replaced, or the other "
                "gateways have not told them yet. Put a backup of accounts.db back, or make new tokens with 'verge token create', or remove "
                "'tokens-required' beside it to serve without tokens");
  if (unheard_)
    return fail(Code::WorkerGone,
                "this gateway has not heard from its cluster yet whether API tokens are needed: it answers once the bus can be reached");
  open_ = {monotonic_ms(), written_};
  return false;
}

Result<std::optional<Token>> Accounts::find(std::string_view id, std::string& hash) {
  find_->bind(1, id);
  auto row = find_->step();
  std::optional<Token> token;
  if (row && *row) {
    token = read_token(*find_);
    hash = find_->text(kHashColumn);
  }
  find_->reset();
  if (!row) return row.error();
  return token;
}

Result<Token> Accounts::verify(std::string_view secret, int64_t now_ms) {
  constexpr size_t kMostSecret = 512;
  if (secret.size() > kMostSecret) return unknown_token();
  const std::string given = token_hash(secret);
  std::optional<Token> token;
  if (secret.size() == kTokenLength && secret.starts_with(kPrefix) && secret[kPrefix.size() + kIdLength] == '_') {
    std::string kept;
    VERGE_ASSIGN(found, find(secret.substr(kPrefix.size(), kIdLength), kept));
    // In constant time: how much of a hash agrees must not show in the answer's delay.
    if (found && kept.size() == given.size() && CRYPTO_memcmp(kept.data(), given.data(), given.size()) == 0) token = std::move(found);
  }
  if (!token)
    if (const auto in_file = file_.find(given); in_file != file_.end()) token = in_file->second;
  if (!token || token->revoked_ms != 0) return unknown_token();
  if (token->expires_ms != 0 && now_ms >= token->expires_ms) return Error{Code::Unauthenticated, "Authentication error: this token has expired; make a new one with 'verge token create'"};
  int64_t& used = uses_[token->id];
  used = std::max(used, now_ms);
  return *token;
}

Result<std::map<std::string, int64_t>> Accounts::write_uses() {
  auto news = std::exchange(uses_, {});
  std::erase_if(news, [](const auto& use) { return use.first.starts_with("file-"); });
  auto written = merge_uses(news);
  if (written) return news;
  for (const auto& [id, ms] : news) uses_[id] = std::max(uses_[id], ms);
  return written.error();
}

Result<void> Accounts::merge_uses(const std::map<std::string, int64_t>& used_ms) {
  if (used_ms.empty()) return {};
  VERGE_TRY(db_.execute("BEGIN IMMEDIATE"));
  const auto write = [&]() -> Result<void> {
    VERGE_ASSIGN(put, db_.prepare("INSERT INTO token_uses SELECT id, ?2 FROM tokens WHERE id = ?1"
                                  " ON CONFLICT DO UPDATE SET used_ms = MAX(used_ms, excluded.used_ms)"));
    for (const auto& [id, ms] : used_ms) {
      put.bind(1, id).bind(2, ms);
      VERGE_TRY(put.step());
    }
    return db_.execute("COMMIT");
  };
  auto written = write();
  if (!written) (void)db_.execute("ROLLBACK");
  return written;
}

Result<void> Accounts::use_file(TokenFile tokens) {
  std::error_code ec;
  if (!std::filesystem::exists(marker_of(folder_), ec)) VERGE_TRY(write_marker(folder_));
  file_ = std::move(tokens);
  file_given_ = true;
  return {};
}

// ---- Settings

Result<int64_t> Accounts::next_version(const std::string& account, int64_t now_ms) {
  VERGE_ASSIGN(last, db_.prepare("SELECT COALESCE(MAX(version_ms), 0) FROM settings WHERE account = ?1"));
  last.bind(1, account);
  VERGE_ASSIGN(row, last.step());
  return std::max(now_ms, row ? last.number(0) + 1 : 1);
}

Result<void> Accounts::write_setting(const std::string& account, const std::string& field, std::optional<int64_t> value, int64_t version_ms) {
  VERGE_ASSIGN(member, noted("member"));
  const std::string number = value ? std::to_string(*value) : "NULL";
  VERGE_ASSIGN(put, db_.prepare(fmt::format("INSERT OR REPLACE INTO settings VALUES (?1, ?2, {}, ?3, ?4)", number)));
  put.bind(1, account).bind(2, field).bind(3, version_ms).bind(4, member);
  VERGE_TRY(put.step());
  return {};
}

Result<void> Accounts::set(const std::string& account, const Settings& changes, int64_t now_ms) {
  if (!valid_account(account)) return fail(Code::InvalidInput, "an account's id has letters, digits, '-' and '_' only, at most 64");
  std::map<std::string, int64_t> fields;
  if (changes.daily_neurons) fields["daily_neurons"] = *changes.daily_neurons;
  if (changes.concurrency) fields["concurrency"] = *changes.concurrency;
  for (const auto& [task, per_minute] : changes.rates) fields[std::string(kRateField) + task] = per_minute;
  for (const auto& [field, value] : fields)
    if (!valid(SettingRecord{account, field, std::nullopt, 0, ""})) return fail(Code::InvalidInput, "'{:.64}' is no task", field.substr(kRateField.size()));
  auto written = in_transaction([&]() -> Result<int64_t> {
    VERGE_ASSIGN(version_ms, next_version(account, now_ms));
    for (const auto& [field, value] : fields)
      VERGE_TRY(write_setting(account, field, value == Settings::kUnset ? std::nullopt : std::optional(value), version_ms));
    return static_cast<int64_t>(fields.size());
  });
  if (!written) return written.error();
  return {};
}

Result<bool> Accounts::remove(const std::string& account, int64_t now_ms) {
  VERGE_ASSIGN(all, all_settings());
  const bool any = all->contains(account);
  if (!any) return false;
  auto written = in_transaction([&]() -> Result<int64_t> {
    VERGE_ASSIGN(version_ms, next_version(account, now_ms));
    VERGE_ASSIGN(change, db_.prepare("DELETE FROM settings WHERE account = ?1"));
    change.bind(1, account);
    VERGE_TRY(change.step());
    VERGE_TRY(write_setting(account, std::string(kAllFields), std::nullopt, version_ms));
    return int64_t{1};
  });
  if (!written) return written.error();
  return true;
}

Result<void> Accounts::refresh() {
  if (recent(refreshed_ms_) && known_.second == written_) return {};
  VERGE_ASSIGN(now, generation());
  refreshed_ms_ = monotonic_ms();
  if (now == known_) return {};
  std::map<std::string, Settings, std::less<>> all;
  VERGE_ASSIGN(rows, db_.prepare("SELECT account, field, value FROM settings WHERE value IS NOT NULL"));
  while (true) {
    VERGE_ASSIGN(more, rows.step());
    if (!more) break;
    Settings& settings = all[rows.text(0)];
    const std::string field = rows.text(1);
    if (field == "daily_neurons") settings.daily_neurons = rows.number(2);
    else if (field == "concurrency") settings.concurrency = rows.number(2);
    else if (field.starts_with(kRateField)) settings.rates[field.substr(kRateField.size())] = rows.number(2);
  }
  settings_ = std::move(all);
  known_ = now;
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
