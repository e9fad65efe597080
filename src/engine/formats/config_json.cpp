#include "engine/formats/config_json.h"

#include <charconv>
#include <cmath>
#include <string>

namespace verge::engine {
namespace {

// Python's three words for numbers that JSON does not have, outside strings, put in JSON's terms.
std::string with_json_numbers(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"-Infinity", "-1.7976931348623157e308"},
      {"Infinity", "1.7976931348623157e308"},
      {"NaN", "null"}};
  std::string out;
  out.reserve(text.size() + 64);
  bool quoted = false;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (quoted || (c != '-' && c != 'I' && c != 'N')) {
      if (c == '"') quoted = !quoted;
      out.push_back(c);
      if (quoted && c == '\\' && at + 1 < text.size()) out.push_back(text[++at]);
      ++at;
      continue;
    }
    size_t length = 1;
    std::string_view written = text.substr(at, 1);
    for (const auto& [word, number] : kWords) {
      if (!text.substr(at).starts_with(word)) continue;
      length = word.size();
      written = number;
      break;
    }
    out += written;
    at += length;
  }
  return out;
}

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

Result<json::value> parse_config_json(std::string_view text) {
  text = without_byte_order_mark(text);
  auto parsed = parse_json(text);
  if (parsed || (text.find("NaN") == std::string_view::npos &&
                 text.find("Infinity") == std::string_view::npos))
    return parsed;
  auto again = parse_json(with_json_numbers(text));
  return again ? std::move(again) : std::move(parsed);  // the offset of an error is the file's own
}

int64_t token_id(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double() && std::floor(value.get_double()) == value.get_double() &&
      std::fabs(value.get_double()) < 1e9) {
    return static_cast<int64_t>(value.get_double());
  }
  if (const json::string* text = value.if_string()) {
    int64_t id = -1;
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), id);
    if (ec == std::errc() && end == text->data() + text->size()) return id;
  }
  return -1;
}

}  // namespace verge::engine
