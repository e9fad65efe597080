// Accounts as one of the copies that a cluster's gateways hold.
#include <filesystem>

#include "accounts/accounts.h"
#include "accounts/marker.h"
#include "support/log.h"
#include "support/utf8.h"

namespace verge::accounts {
namespace {

constexpr const char* kTokenColumns = "id, hash, name, scope, account, created_ms, expires_ms, revoked_ms";

TokenRecord read_token(const store::Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.text(4), row.number(5), row.number(6), row.number(7)};
}

SettingRecord read_setting(const store::Statement& row) {
  SettingRecord out{row.text(0), row.text(1), std::nullopt, row.number(3), row.text(4)};
  if (!row.is_null(2)) out.value = row.number(2);
  return out;
}

// Names of before they were checked.
std::string proper_name(std::string name) {
  name = lossy_utf8(name);
  for (char& c : name)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  while (!valid_token_name(name)) name.pop_back();
  return name;
}

}  // namespace

Result<std::string> Accounts::noted(const std::string& key) {
  VERGE_ASSIGN(ask, db_.prepare("SELECT value FROM notes WHERE key = ?1"));
  ask.bind(1, key);
  VERGE_ASSIGN(row, ask.step());
  return row ? ask.text(0) : std::string();
}

Result<void> Accounts::note(const std::string& key, const std::string& value) {
  VERGE_ASSIGN(before, noted(key));
  if (before == value) return {};
  VERGE_ASSIGN(put, db_.prepare("INSERT OR REPLACE INTO notes VALUES (?1, ?2)"));
  put.bind(1, key).bind(2, value);
  VERGE_TRY(put.step());
  return {};
}

Result<void> Accounts::join(const std::string& member, const std::string& cluster) {
  VERGE_TRY(note("member", member));
  cluster_ = cluster;
  VERGE_ASSIGN(before, noted("heard"));
  unheard_ = before != cluster;
  return {};
}

Result<void> Accounts::heard(bool closed) {
  if (cluster_.empty()) return {};
  std::error_code ec;
  if (closed && !std::filesystem::exists(marker_of(folder_), ec)) {
    VERGE_TRY(write_marker(folder_));
    open_ = {0, -1};
    log::info("this gateway's cluster wants API tokens: from now on so does this gateway");
  }
  if (!unheard_) return {};
  VERGE_TRY(note("heard", cluster_));
  unheard_ = false;
  return {};
}

bool Accounts::closed() {
  std::error_code ec;
  return std::filesystem::exists(marker_of(folder_), ec);
}

Result<std::pair<int64_t, int64_t>> Accounts::generation() {
  VERGE_TRY(follow());
  // Another process's commit changes the number; one's own does not.
  VERGE_ASSIGN(row, version_->step());
  const int64_t version = row ? version_->number(0) : 0;
  version_->reset();
  return std::pair(version, written_);
}

Result<Records> Accounts::records() {
  Records out;
  VERGE_ASSIGN(tokens, db_.prepare(fmt::format("SELECT {} FROM tokens", kTokenColumns)));
  while (true) {
    VERGE_ASSIGN(more, tokens.step());
    if (!more) break;
    TokenRecord token = read_token(tokens);
    token.name = proper_name(std::move(token.name));
    if (valid(token)) out.tokens.push_back(std::move(token));
  }
  VERGE_ASSIGN(settings, db_.prepare("SELECT account, field, value, version_ms, member FROM settings"));
  while (true) {
    VERGE_ASSIGN(more, settings.step());
    if (!more) break;
    SettingRecord setting = read_setting(settings);
    if (valid(setting)) out.settings.push_back(std::move(setting));
  }
  return out;
}

Result<int64_t> Accounts::merge(const Records& records) {
  std::error_code ec;
  // First, as where one is made here.
  if (!records.tokens.empty() && !std::filesystem::exists(marker_of(folder_), ec)) VERGE_TRY(write_marker(folder_));
  return in_transaction([&]() -> Result<int64_t> {
    int64_t changed = 0;
    VERGE_ASSIGN(find_token, db_.prepare(fmt::format("SELECT {} FROM tokens WHERE id = ?1", kTokenColumns)));
    VERGE_ASSIGN(put_token, db_.prepare(fmt::format("INSERT OR REPLACE INTO tokens ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", kTokenColumns)));
    for (const TokenRecord& record : records.tokens) {
      find_token.bind(1, record.id);
      VERGE_ASSIGN(there, find_token.step());
      TokenRecord now = record;
      if (there) {
        TokenRecord before = read_token(find_token);
        before.name = proper_name(std::move(before.name));
        now = joined(before, record);
        find_token.reset();
        if (now == before) continue;
      }
      put_token.bind(1, now.id).bind(2, now.hash).bind(3, now.name).bind(4, now.scope).bind(5, now.account);
      put_token.bind(6, now.created_ms).bind(7, now.expires_ms).bind(8, now.revoked_ms);
      VERGE_TRY(put_token.step());
      ++changed;
    }
    VERGE_ASSIGN(find_settings, db_.prepare("SELECT account, field, value, version_ms, member FROM settings WHERE account = ?1 AND field IN (?2, ?3)"));
    VERGE_ASSIGN(all_of, db_.prepare("SELECT account, field, value, version_ms, member FROM settings WHERE account = ?1"));
    VERGE_ASSIGN(drop, db_.prepare("DELETE FROM settings WHERE account = ?1 AND field = ?2"));
    for (const SettingRecord& record : records.settings) {
      bool news = true;
      find_settings.bind(1, record.account).bind(2, record.field).bind(3, kAllFields);
      while (true) {
        VERGE_ASSIGN(more, find_settings.step());
        if (!more) break;
        const SettingRecord before = read_setting(find_settings);
        news = news && before != record && !replaces(before, record);
      }
      if (!news) continue;
      if (record.field == kAllFields) {
        std::vector<std::string> old;
        all_of.bind(1, record.account);
        while (true) {
          VERGE_ASSIGN(more, all_of.step());
          if (!more) break;
          const SettingRecord before = read_setting(all_of);
          if (replaces(record, before)) old.push_back(before.field);
        }
        for (const std::string& field : old) {
          drop.bind(1, record.account).bind(2, field);
          VERGE_TRY(drop.step());
        }
      }
      const std::string number = record.value ? std::to_string(*record.value) : "NULL";
      VERGE_ASSIGN(put, db_.prepare(fmt::format("INSERT OR REPLACE INTO settings VALUES (?1, ?2, {}, ?3, ?4)", number)));
      put.bind(1, record.account).bind(2, record.field).bind(3, record.version_ms).bind(4, record.member);
      VERGE_TRY(put.step());
      ++changed;
    }
    return changed;
  });
}

Result<void> Accounts::remember_gateways(int64_t count) { return note("gateways", std::to_string(count)); }

Result<int64_t> Accounts::remembered_gateways() {
  VERGE_ASSIGN(text, noted("gateways"));
  return text.empty() ? int64_t{1} : std::clamp<int64_t>(std::atoll(text.c_str()), 1, 1000);
}

}  // namespace verge::accounts
