#include "accounts/token_file.h"

#include <algorithm>
#include <charconv>

#include "accounts/quota.h"
#include "accounts/usage_book.h"
#include "support/hex.h"

namespace verge::accounts {
namespace {

constexpr std::string_view kHash = "sha256:";
constexpr size_t kHashDigits = 64, kLeastSecret = 32, kMostSecret = 512;

std::string_view next_word(std::string_view& line) {
  constexpr std::string_view kSpace = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

Result<void> read_secret(std::string_view word, std::string& hash) {
  if (word.starts_with(kHash)) {
    hash = word.substr(kHash.size());
    for (char& c : hash)
      if (c >= 'A' && c <= 'F') c += 'a' - 'A';
    if (!is_hex(hash, kHashDigits)) return fail(Code::InvalidInput, "sha256: wants {} hexadecimal digits", kHashDigits);
    return {};
  }
  // A plain hash protects what nobody can guess.
  if (word.size() < kLeastSecret || word.size() > kMostSecret)
    return fail(Code::InvalidInput, "a token has {} to {} characters, this one has {} (a hash is written sha256:…)", kLeastSecret,
                kMostSecret, word.size());
  if (!std::ranges::all_of(word, [](char c) { return c > ' ' && c < 0x7f; }))
    return fail(Code::InvalidInput, "a token has printable ASCII characters only");
  hash = token_hash(word);
  return {};
}

Result<void> read_field(std::string_view word, Token& token) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return fail(Code::InvalidInput, "'{:.32}' is no KEY=VALUE", word);
  const std::string key(word.substr(0, equals)), value(word.substr(equals + 1));
  if (key == "scope") {
    token.scope = value == "inference" ? "run" : value;
    if (!known_scope(token.scope)) return fail(Code::InvalidInput, "scope must be metrics, read, run or admin, not '{:.32}'", value);
  } else if (key == "account") {
    if (!valid_account(value)) return fail(Code::InvalidInput, "an account's id has letters, digits, '-' and '_' only, at most 64");
    token.account = value;
  } else if (key == "name") {
    if (!valid_token_name(value)) return fail(Code::InvalidInput, "a name is UTF-8 text of at most 64 bytes");
    token.name = value;
  } else if (key == "expires") {
    const auto day = parse_date(value);
    if (!day) return fail(Code::InvalidInput, "expires must be a date such as 2027-01-31, not '{:.32}'", value);
    token.expires_ms = *day * kDayMs;
  } else {
    return fail(Code::InvalidInput, "'{:.32}' is none of scope, account, name, expires", key);
  }
  return {};
}

}  // namespace

Result<TokenFile> parse_token_file(std::string_view text) {
  TokenFile out;
  std::map<std::string, int> lines;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view first = next_word(line);
    if (first.empty() || first.front() == '#') continue;
    std::string hash;
    auto known = read_secret(first, hash);
    if (!known) return fail(Code::InvalidInput, "line {}: {}", number, known.error().message);
    Token token;
    token.id = "file-" + hash.substr(0, 12);
    token.scope = "run";
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      auto read = read_field(word, token);
      if (!read) return fail(Code::InvalidInput, "line {}: {}", number, read.error().message);
    }
    if (const auto [before, fresh] = lines.emplace(hash, number); !fresh)
      return fail(Code::InvalidInput, "line {}: the token of line {} again", number, before->second);
    out.emplace(hash, std::move(token));
  }
  return out;
}

Result<int64_t> parse_expiry(std::string_view text, int64_t now_ms) {
  if (const auto day = parse_date(text)) {
    if (*day * kDayMs <= now_ms) return fail(Code::InvalidInput, "--expires {}: that day has begun already", text);
    return *day * kDayMs;
  }
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  for (const auto& [name, hours] : {std::pair{"h", 1}, {"d", 24}, {"w", 24 * 7}, {"y", 24 * 365}})
    if (error == std::errc() && unit == name && number > 0 && number <= 100'000) return now_ms + number * hours * 3'600'000;
  return fail(Code::InvalidInput, "--expires takes a time such as 12h, 30d, 8w or 1y, or a date such as 2027-01-31, not '{:.32}'", text);
}

}  // namespace verge::accounts
