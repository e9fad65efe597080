#include "api/text_body.h"

#include <unicode/ucnv.h>

#include <algorithm>
#include <array>
#include <memory>

#include "http/message.h"
#include "support/http_limits.h"
#include "support/text.h"
#include "support/utf8.h"

namespace verge::api {
namespace {

constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

// What the first bytes say of a text's encoding.
struct Encoding {
  std::string_view name;  // empty = nothing
  size_t mark = 0;        // bytes of the byte order mark
  size_t unit = 1;        // bytes of a code unit
  bool little = false;
};

Encoding encoding_of(std::string_view text) {
  using namespace std::string_view_literals;
  static constexpr std::array kMarks = {
      std::pair{"\xFF\xFE\0\0"sv, Encoding{"UTF-32LE", 4, 4, true}}, std::pair{"\0\0\xFE\xFF"sv, Encoding{"UTF-32BE", 4, 4, false}},
      std::pair{"\xEF\xBB\xBF"sv, Encoding{"UTF-8", 3, 1, false}}, std::pair{"\xFF\xFE"sv, Encoding{"UTF-16LE", 2, 2, true}},
      std::pair{"\xFE\xFF"sv, Encoding{"UTF-16BE", 2, 2, false}}};
  for (const auto& [mark, encoding] : kMarks)
    if (text.starts_with(mark)) return encoding;
  return {};
}

// JSON begins with an ASCII character and holds no U+0000: where the zero bytes are says how wide it is.
Encoding json_encoding_of(std::string_view text) {
  if (const Encoding marked = encoding_of(text); !marked.name.empty()) return marked;
  const auto zero = [&](size_t at) { return at < text.size() && text[at] == '\0'; };
  if (zero(0) && zero(1) && zero(2) && text.size() > 3) return {"UTF-32BE", 0, 4, false};
  if (zero(0) && text.size() > 1 && !zero(1)) return {"UTF-16BE", 0, 2, false};
  if (!zero(0) && zero(1) && zero(2) && zero(3)) return {"UTF-32LE", 0, 4, true};
  if (!zero(0) && zero(1)) return {"UTF-16LE", 0, 2, true};
  return {};
}

bool plain_ascii(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// A charset's name as ICU has it; empty = UTF-8. Browsers read what is labelled Latin-1 as Windows-1252 (WHATWG, 4.2).
std::string icu_name(std::string_view charset) {
  const std::string name = ascii_lower(charset);
  for (const char* utf8 : {"", "utf-8", "utf8", "utf_8", "unicode-1-1-utf-8", "utf-8-sig", "utf8mb4"})
    if (name == utf8) return "";
  for (const char* latin : {"iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1", "ascii", "us-ascii"})
    if (name == latin) return "windows-1252";
  return name;
}

using Converter = std::unique_ptr<UConverter, decltype(&ucnv_close)>;

// Null where ICU has none of that name, or it is one that hides ASCII from whoever looks for it (UTF-7 and the like).
Converter converter_of(const std::string& name) {
  const bool named = !name.empty() && name.size() <= limits::kCharsetBytes &&
                     std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
  const std::string lower = ascii_lower(name);
  const bool hiding = lower.starts_with("utf-7") || lower.starts_with("utf7") || lower.starts_with("imap") || lower.starts_with("scsu") || lower.starts_with("bocu");
  UErrorCode error = U_ZERO_ERROR;
  return {named && !hiding ? ucnv_open(name.c_str(), &error) : nullptr, ucnv_close};
}

std::string converted(UConverter* from, std::string_view bytes) {
  UErrorCode error = U_ZERO_ERROR;
  const Converter to(ucnv_open("UTF-8", &error), ucnv_close);
  std::string out;
  std::array<char, 16 << 10> piece;
  std::array<UChar, 4096> pivot;
  UChar *filled = pivot.data(), *taken = pivot.data();
  const char* source = bytes.data();
  bool first = true;
  do {
    error = U_ZERO_ERROR;
    char* target = piece.data();
    ucnv_convertEx(to.get(), from, &target, piece.data() + piece.size(), &source, bytes.data() + bytes.size(), pivot.data(), &taken, &filled,
                   pivot.data() + pivot.size(), first, true, &error);
    out.append(piece.data(), target);
    first = false;
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  return out;
}

Error unknown_charset(std::string_view charset) {
  return fail_at(Code::UnsupportedParameter, "/content-type", "'/content-type' names the charset '{:.64}', which is unknown here: send UTF-8", charset);
}

Result<void> convert(std::string& text, const Encoding& encoding) {
  const std::string_view units = std::string_view(text).substr(encoding.mark);
  if (units.size() % encoding.unit != 0)
    return fail(Code::InvalidInput, "the body is {} and ends in a part of a character", encoding.name);
  const Converter from = converter_of(std::string(encoding.name));
  if (!from) return unknown_charset(encoding.name);
  text = converted(from.get(), units);
  return {};
}

}  // namespace

std::string media_type(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.front() == ' ' || type.front() == '\t')) type.remove_prefix(1);
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  return ascii_lower(type);
}

std::string header_parameter(std::string_view header, std::string_view name) {
  for (size_t at = header.find(';'); at != header.npos;) {
    std::string_view rest = header.substr(at + 1);
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    const bool mine = rest.size() > name.size() && http::equal_names(rest.substr(0, name.size()), name) && rest[name.size()] == '=';
    const size_t equals = rest.find('='), end = rest.find(';');
    if (mine) {
      rest.remove_prefix(name.size() + 1);
      std::string value;
      if (rest.starts_with('"')) {
        for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
          if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
          value.push_back(rest[i]);
        }
      } else {
        value = rest.substr(0, rest.find_first_of("; \t\r\n"));
      }
      return value;
    }
    if (equals != rest.npos && equals + 1 < rest.size() && rest[equals + 1] == '"' && (end == rest.npos || equals < end)) {
      // A quoted value may hold a semicolon.
      size_t quote = equals + 2;
      while (quote < rest.size() && rest[quote] != '"') quote += rest[quote] == '\\' ? 2 : 1;
      at = header.find(';', static_cast<size_t>(rest.data() - header.data()) + std::min(quote, rest.size()));
    } else {
      at = header.find(';', at + 1);
    }
  }
  return {};
}

bool looks_like_json(std::string_view body) {
  const Encoding encoding = json_encoding_of(body);
  for (body.remove_prefix(encoding.mark); body.size() >= encoding.unit; body.remove_prefix(encoding.unit)) {
    const std::string_view unit = body.substr(0, encoding.unit);
    const char c = encoding.little ? unit.front() : unit.back();
    if (std::ranges::count(unit, '\0') < static_cast<std::ptrdiff_t>(encoding.unit) - 1) return false;
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c == '{' || c == '[';
  }
  return false;
}

Result<void> make_utf8(std::string& body, std::string_view content_type) {
  if (const Encoding encoding = json_encoding_of(body); encoding.unit > 1) {
    VERGE_TRY(convert(body, encoding));
    return {};
  }
  size_t marks = 0;  // tools that write one behind another's exist
  while (std::string_view(body).substr(marks).starts_with(kUtf8Mark)) marks += kUtf8Mark.size();
  if (marks) {
    body.erase(0, marks);
    return {};
  }
  const std::string charset = header_parameter(content_type, "charset");
  const std::string name = icu_name(charset);
  if (name.empty()) return {};
  const Converter from = converter_of(name);
  if (!from && plain_ascii(body)) return {};
  if (!from) return unknown_charset(charset);
  if (name.starts_with("utf-16") || name.starts_with("utf-32") || name.starts_with("ucs-"))
    return fail(Code::InvalidInput, "the content type says {}, which the body is not: send UTF-8", charset);
  body = converted(from.get(), body);
  return {};
}

Result<std::string> field_text(std::string_view bytes, std::string_view charset, std::string_view field) {
  if (const Encoding marked = encoding_of(bytes); marked.unit > 1) {
    std::string text(bytes);
    VERGE_TRY(convert(text, marked));
    return text;
  }
  if (bytes.starts_with(kUtf8Mark)) bytes.remove_prefix(kUtf8Mark.size());
  const std::string name = icu_name(charset);
  if (!name.empty()) {
    const Converter from = converter_of(name);
    if (!from && !plain_ascii(bytes)) return unknown_charset(charset);
    return from ? converted(from.get(), bytes) : std::string(bytes);
  }
  if (const size_t bad = first_invalid_utf8(bytes); bad != bytes.npos)
    return fail_at(Code::InvalidInput, fmt::format("/{:.64}", field), "'/{:.64}' is not UTF-8 at byte {}: send UTF-8, or name its charset", field, bad);
  return std::string(bytes);
}

}  // namespace verge::api
