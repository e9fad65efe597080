#include "cluster/account_messages.h"

#include <fmt/format.h>

#include <charconv>

#include "accounts/accounts.h"
#include "cluster/heartbeat.h"
#include "support/json.h"

namespace verge::cluster {
namespace {

constexpr std::string_view kPrefix = "verge.accounts.";
constexpr size_t kListBytes = 64 << 10;  // of one message
constexpr size_t kMostInMessage = 2'000;
constexpr int64_t kLatestMs = int64_t{1} << 50;

json::object to_json(const accounts::TokenRecord& r) {
  json::object out{{"id", r.id}, {"hash", r.hash}, {"scope", r.scope}, {"created_ms", r.created_ms}};
  if (!r.name.empty()) out["name"] = r.name;
  if (!r.account.empty()) out["account"] = r.account;
  if (r.expires_ms) out["expires_ms"] = r.expires_ms;
  if (r.revoked_ms) out["revoked_ms"] = r.revoked_ms;
  return out;
}

json::object to_json(const accounts::SettingRecord& r) {
  json::object out{{"account", r.account}, {"field", r.field}, {"version_ms", r.version_ms}, {"member", r.member}};
  if (r.value) out["value"] = *r.value;
  return out;
}

std::string text_of(const json::object& object, const char* name) { return get_string(object, name).value_or(""); }

Result<AccountMessage> digests_of(const json::object& object, const json::array& parts) {
  AccountDigests out;
  if (parts.size() != accounts::kBuckets) return fail(Code::InvalidInput, "{} digests", parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const json::string* text = parts[i].if_string();
    const auto [end, error] = text ? std::from_chars(text->data(), text->data() + text->size(), out.parts[i], 16)
                                   : std::from_chars_result{nullptr, std::errc::invalid_argument};
    if (error != std::errc() || end != text->data() + text->size()) return fail(Code::InvalidInput, "no digest");
  }
  const json::value* closed = object.if_contains("closed");
  if (!closed || !closed->is_bool()) return fail(Code::InvalidInput, "no 'closed'");
  out.closed = closed->get_bool();
  return AccountMessage(std::move(out));
}

Result<AccountMessage> records_of(const json::object& object) {
  AccountRecords out;
  for (const char* name : {"tokens", "settings"}) {
    const json::array* list = get_array(object, name);
    if (!list) continue;
    if (list->size() > kMostInMessage) return fail(Code::InvalidInput, "{} records; the limit is {}", list->size(), kMostInMessage);
    for (const json::value& value : *list) {
      const json::object* one = value.if_object();
      if (!one) return fail(Code::InvalidInput, "a record is no object");
      if (std::string_view(name) == "tokens") {
        accounts::TokenRecord record{text_of(*one, "id"), text_of(*one, "hash"), text_of(*one, "name"), text_of(*one, "scope"), text_of(*one, "account"),
                                     get_int(*one, "created_ms").value_or(-1), get_int(*one, "expires_ms").value_or(0), get_int(*one, "revoked_ms").value_or(0)};
        if (!accounts::valid(record)) return fail(Code::InvalidInput, "no proper record of a token");
        out.records.tokens.push_back(std::move(record));
      } else {
        accounts::SettingRecord record{text_of(*one, "account"), text_of(*one, "field"), get_int(*one, "value"), get_int(*one, "version_ms").value_or(-1),
                                       text_of(*one, "member")};
        if (!accounts::valid(record)) return fail(Code::InvalidInput, "no proper record of a setting");
        out.records.settings.push_back(std::move(record));
      }
    }
  }
  if (const auto part = get_int(object, "part")) {
    const std::string digest = text_of(object, "digest");
    const auto [end, error] = std::from_chars(digest.data(), digest.data() + digest.size(), out.digest, 16);
    if (*part < 0 || *part >= static_cast<int64_t>(accounts::kBuckets) || error != std::errc()) return fail(Code::InvalidInput, "no such part");
    out.part = static_cast<size_t>(*part);
  }
  return AccountMessage(std::move(out));
}

Result<AccountMessage> uses_of(const json::object& used) {
  TokenUses out;
  if (used.size() > kMostInMessage) return fail(Code::InvalidInput, "{} uses; the limit is {}", used.size(), kMostInMessage);
  for (const auto& [id, ms] : used) {
    if (id.size() != accounts::kTokenIdDigits || !ms.is_int64() || ms.get_int64() < 0 || ms.get_int64() > kLatestMs)
      return fail(Code::InvalidInput, "no proper use of a token");
    out.used_ms.emplace(std::string(id), ms.get_int64());
  }
  return AccountMessage(std::move(out));
}

}  // namespace

std::string encode(const AccountDigests& digests) {
  json::array parts;
  for (uint64_t part : digests.parts) parts.push_back(json::string(fmt::format("{:x}", part)));
  return json::serialize(json::object{{"v", kVersion}, {"digests", std::move(parts)}, {"closed", digests.closed}});
}

std::vector<std::string> encode(const AccountRecords& records) {
  std::vector<std::string> out;
  std::string lists[2];  // tokens, settings
  size_t count = 0;
  const auto close = [&](bool last) {
    std::string part;
    if (last && records.part) part = fmt::format(R"(,"part":{},"digest":"{:x}")", *records.part, records.digest);
    if (count > 0 || !part.empty()) out.push_back(fmt::format(R"({{"v":{},"tokens":[{}],"settings":[{}]{}}})", kVersion, lists[0], lists[1], part));
    lists[0].clear();
    lists[1].clear();
    count = 0;
  };
  const auto add = [&](std::string& list, const json::object& record) {
    const std::string text = json::serialize(record);
    if (count >= kMostInMessage / 2 || lists[0].size() + lists[1].size() + text.size() > kListBytes) close(false);
    if (!list.empty()) list += ',';
    list += text;
    ++count;
  };
  for (const auto& record : records.records.tokens) add(lists[0], to_json(record));
  for (const auto& record : records.records.settings) add(lists[1], to_json(record));
  close(true);
  return out;
}

std::vector<std::string> encode(const TokenUses& uses) {
  std::vector<std::string> out;
  json::object used;
  const auto close = [&] { out.push_back(json::serialize(json::object{{"v", kVersion}, {"used", std::exchange(used, {})}})); };
  for (const auto& [id, ms] : uses.used_ms) {
    used[id] = ms;
    if (used.size() >= kMostInMessage / 2) close();
  }
  if (!used.empty()) close();
  return out;
}

Result<AccountMessage> decode_accounts(std::string_view text, const std::string& from) {
  if (text.size() > kAccountMessageBytes) return fail(Code::InvalidInput, "{} bytes; the limit is {}", text.size(), kAccountMessageBytes);
  VERGE_ASSIGN(value, parse_json(text, 8));
  const json::object* object = value.if_object();
  if (!object) return fail(Code::InvalidInput, "no object");
  const int64_t version = get_int(*object, "v").value_or(0);
  if (version > kVersion)
    return fail(Code::UnsupportedParameter, "gateway {} speaks version {} of the cluster's protocol, this program version {}: upgrade it", from, version, kVersion);
  if (version < 1) return fail(Code::InvalidInput, "no version");
  if (const json::array* parts = get_array(*object, "digests")) return digests_of(*object, *parts);
  if (const json::object* used = get_object(*object, "used")) return uses_of(*used);
  if (get_array(*object, "tokens") || get_array(*object, "settings")) return records_of(*object);
  return fail(Code::InvalidInput, "neither digests nor records");
}

std::string account_subject(const std::string& name) { return std::string(kPrefix) + name; }

std::optional<std::string> parse_account_subject(std::string_view subject) {
  if (!subject.starts_with(kPrefix)) return std::nullopt;
  std::string name(subject.substr(kPrefix.size()));
  if (!valid_name(name)) return std::nullopt;
  return name;
}

}  // namespace verge::cluster
