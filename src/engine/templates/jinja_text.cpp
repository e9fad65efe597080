#include "engine/templates/jinja_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

// Design: decode() reads one code point at a time and everything else is a loop over it, with a
// short cut for ASCII where it matters (case, length, offsets). Character classes and simple case
// mappings are utf8proc's; the mappings that give more than one character (ß -> SS), which
// utf8proc lacks, come from jinja_special_casing.h.
namespace verge::engine::jinja::text {
namespace {

#include "engine/templates/jinja_special_casing.h"

const SpecialCase* special(char32_t c) {
  auto it = std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), c,
                             [](const SpecialCase& s, char32_t value) { return s.code < value; });
  return it != std::end(kSpecialCases) && it->code == c ? it : nullptr;
}

utf8proc_category_t category(char32_t c) {
  return c >= 0xDC80 && c <= 0xDCFF ? UTF8PROC_CATEGORY_CS : utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

char32_t simple_upper(char32_t c) { return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))); }
char32_t simple_lower(char32_t c) { return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))); }
char32_t simple_title(char32_t c) { return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))); }

bool has_case(char32_t c) {
  auto k = category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || simple_upper(c) != c || simple_lower(c) != c;
}

// Case_Ignorable, near enough for the final-sigma rule: marks, modifiers and the usual word-internal signs.
bool case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
  }
}

void put(std::string& out, char32_t c) {
  if (c >= 0xDC80 && c <= 0xDCFF) out.push_back(static_cast<char>(c - 0xDC00));
  else append(out, c);
}

// Lower-case of the code point at [start, end): Σ is ς at the end of a word.
void put_lower(std::string& out, std::string_view s, size_t start, size_t end, char32_t c) {
  if (c == 0x130) {
    out += "i\xcc\x87";
    return;
  }
  if (c != 0x3A3) return put(out, simple_lower(c));
  bool before = false;
  for (size_t p = start; p > 0;) {
    size_t q = p - 1;
    while (q > 0 && (static_cast<unsigned char>(s[q]) & 0xC0) == 0x80) --q;
    size_t at = q;
    char32_t d = next(s, at);
    p = q;
    if (case_ignorable(d)) continue;
    before = has_case(d);
    break;
  }
  bool after = false;
  for (size_t p = end; p < s.size();) {
    char32_t d = next(s, p);
    if (case_ignorable(d)) continue;
    after = has_case(d);
    break;
  }
  put(out, before && !after ? 0x3C2 : 0x3C3);
}

void put_upper(std::string& out, char32_t c) {
  if (const SpecialCase* s = special(c)) out += s->upper;
  else put(out, simple_upper(c));
}

void put_title(std::string& out, char32_t c) {
  if (const SpecialCase* s = special(c)) out += s->title;
  else put(out, simple_title(c));
}

bool line_end(char32_t c) {
  return c == '\n' || c == '\r' || c == 0x0B || c == 0x0C || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

char32_t next(std::string_view s, size_t& pos) {
  unsigned char b = static_cast<unsigned char>(s[pos]);
  if (b < 0x80) {
    ++pos;
    return b;
  }
  int extra = b >= 0xF0 && b <= 0xF4 ? 3 : b >= 0xE0 ? 2 : b >= 0xC2 ? 1 : 0;
  if (b > 0xF4) extra = 0;
  if (extra > 0 && pos + static_cast<size_t>(extra) < s.size()) {
    char32_t c = b & (0x3F >> extra);
    bool good = true;
    for (int i = 1; i <= extra; ++i) {
      unsigned char t = static_cast<unsigned char>(s[pos + i]);
      if ((t & 0xC0) != 0x80) good = false;
      c = (c << 6) | (t & 0x3F);
    }
    if (extra == 2 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) good = false;
    if (extra == 3 && (c < 0x10000 || c > 0x10FFFF)) good = false;
    if (good) {
      pos += 1 + extra;
      return c;
    }
  }
  ++pos;
  return 0xDC00 + b;
}

void append(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (c >> 6)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (c >> 12)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (c >> 18)));
    out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

bool is_ascii(std::string_view s) {
  unsigned char any = 0;
  for (char c : s) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

size_t length(std::string_view s) {
  if (is_ascii(s)) return s.size();
  size_t n = 0;
  for (size_t pos = 0; pos < s.size(); ++n) next(s, pos);
  return n;
}

size_t offset(std::string_view s, size_t index) {
  size_t pos = 0;
  for (; index > 0 && pos < s.size(); --index) next(s, pos);
  return pos;
}

std::vector<std::string_view> characters(std::string_view s) {
  std::vector<std::string_view> out;
  out.reserve(s.size());
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    next(s, pos);
    out.push_back(s.substr(start, pos - start));
  }
  return out;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

bool is_alpha(char32_t c) {
  auto k = category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || k == UTF8PROC_CATEGORY_LM ||
         k == UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(char32_t c) {
  // Nd and the superscript, subscript and circled digits whose Numeric_Type is Digit.
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490);
}
bool is_numeric(char32_t c) {
  auto k = category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

std::string upper(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t pos = 0; pos < s.size();) {
    char32_t c = next(s, pos);
    if (c < 0x80) out.push_back(static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c));
    else put_upper(out, c);
  }
  return out;
}

std::string lower(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    if (c < 0x80) out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    else put_lower(out, s, start, pos, c);
  }
  return out;
}

std::string title(std::string_view s) {
  std::string out;
  bool inside = false;
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    if (inside) put_lower(out, s, start, pos, c);
    else put_title(out, c);
    inside = has_case(c);
  }
  return out;
}

std::string capitalize(std::string_view s) {
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    if (start == 0) put_title(out, c);
    else put_lower(out, s, start, pos, c);
  }
  return out;
}

std::string swapcase(std::string_view s) {
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    auto k = category(c);
    if (k == UTF8PROC_CATEGORY_LU || (simple_lower(c) != c && simple_upper(c) == c)) put_lower(out, s, start, pos, c);
    else if (k == UTF8PROC_CATEGORY_LL || simple_upper(c) != c) put_upper(out, c);
    else put(out, c);
  }
  return out;
}

std::string casefold(std::string_view s) {
  std::string out;
  for (size_t pos = 0; pos < s.size();) {
    char32_t c = next(s, pos);
    utf8proc_int32_t folded[8];
    int boundary = 0;
    auto n = c >= 0xDC80 && c <= 0xDCFF
                 ? 0
                 : utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8, UTF8PROC_CASEFOLD, &boundary);
    if (n <= 0) put(out, c);
    for (int i = 0; i < n; ++i) append(out, static_cast<char32_t>(folded[i]));
  }
  return out;
}

bool is_upper(std::string_view s) {
  bool any = false;
  for (size_t pos = 0; pos < s.size();) {
    char32_t c = next(s, pos);
    auto k = category(c);
    if (k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT) return false;
    any = any || k == UTF8PROC_CATEGORY_LU;
  }
  return any;
}

bool is_lower(std::string_view s) {
  bool any = false;
  for (size_t pos = 0; pos < s.size();) {
    char32_t c = next(s, pos);
    auto k = category(c);
    if (k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT) return false;
    any = any || k == UTF8PROC_CATEGORY_LL;
  }
  return any;
}

bool is_title(std::string_view s) {
  bool any = false, inside = false;
  for (size_t pos = 0; pos < s.size();) {
    auto k = category(next(s, pos));
    if (k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT) {
      if (inside) return false;
      inside = any = true;
    } else if (k == UTF8PROC_CATEGORY_LL) {
      if (!inside) return false;
      inside = any = true;
    } else {
      inside = false;
    }
  }
  return any;
}

std::string_view strip(std::string_view s, std::optional<std::string_view> chars, Side side) {
  std::vector<char32_t> set;
  if (chars) {
    for (size_t pos = 0; pos < chars->size();) set.push_back(next(*chars, pos));
  }
  auto drop = [&](char32_t c) { return chars ? std::find(set.begin(), set.end(), c) != set.end() : is_space(c); };
  if (side & Left) {
    size_t pos = 0;
    while (pos < s.size()) {
      size_t after = pos;
      if (!drop(next(s, after))) break;
      pos = after;
    }
    s.remove_prefix(pos);
  }
  if (side & Right) {
    while (!s.empty()) {
      size_t start = s.size() - 1;
      for (int i = 0; i < 3 && start > 0 && (static_cast<unsigned char>(s[start]) & 0xC0) == 0x80; ++i) --start;
      size_t after = start;
      char32_t c = next(s, after);
      if (after != s.size()) {  // not one sequence: the last byte stands alone
        start = s.size() - 1;
        c = 0xDC00 + static_cast<unsigned char>(s[start]);
      }
      if (!drop(c)) break;
      s = s.substr(0, start);
    }
  }
  return s;
}

std::vector<std::string_view> split(std::string_view s, std::optional<std::string_view> separator, int64_t max) {
  std::vector<std::string_view> out;
  if (separator) {
    size_t start = 0;
    while (max < 0 || static_cast<int64_t>(out.size()) < max) {
      size_t at = s.find(*separator, start);
      if (at == std::string_view::npos) break;
      out.push_back(s.substr(start, at - start));
      start = at + separator->size();
    }
    out.push_back(s.substr(start));
    return out;
  }
  std::string_view rest = strip(s, std::nullopt, Left);
  while (!rest.empty()) {
    if (max >= 0 && static_cast<int64_t>(out.size()) == max) {
      out.push_back(rest);  // the space at its end stays, as in CPython
      break;
    }
    size_t pos = 0;
    while (pos < rest.size()) {
      size_t after = pos;
      if (is_space(next(rest, after))) break;
      pos = after;
    }
    out.push_back(rest.substr(0, pos));
    rest = strip(rest.substr(pos), std::nullopt, Left);
  }
  return out;
}

std::vector<std::string_view> rsplit(std::string_view s, std::optional<std::string_view> separator, int64_t max) {
  if (max < 0) return split(s, separator, max);
  std::vector<std::string_view> out;
  if (separator) {
    while (static_cast<int64_t>(out.size()) < max) {
      size_t at = s.rfind(*separator);
      if (at == std::string_view::npos) break;
      out.push_back(s.substr(at + separator->size()));
      s = s.substr(0, at);
    }
    out.push_back(s);
  } else {
    // Words from the left; those past `max` from the right stay joined as they were.
    std::vector<std::string_view> words = split(s, std::nullopt, -1);
    size_t keep = words.size() > static_cast<size_t>(max) ? words.size() - static_cast<size_t>(max) : 0;
    for (size_t i = words.size(); i > keep; --i) out.push_back(words[i - 1]);
    if (keep > 0) {
      std::string_view last = words[keep - 1];
      out.push_back(s.substr(0, static_cast<size_t>(last.data() + last.size() - s.data())));
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> splitlines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t start = 0;
  for (size_t pos = 0; pos < s.size();) {
    size_t at = pos;
    char32_t c = next(s, pos);
    if (!line_end(c)) continue;
    if (c == '\r' && pos < s.size() && s[pos] == '\n') ++pos;
    out.push_back(s.substr(start, (keep_ends ? pos : at) - start));
    start = pos;
  }
  if (start < s.size()) out.push_back(s.substr(start));
  return out;
}

std::string expandtabs(std::string_view s, int64_t tab) {
  std::string out;
  int64_t column = 0;
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    if (c == '\t') {
      if (tab > 0) {
        int64_t spaces = tab - column % tab;
        out.append(static_cast<size_t>(spaces), ' ');
        column += spaces;
      }
      continue;
    }
    out.append(s.substr(start, pos - start));
    column = c == '\n' || c == '\r' ? 0 : column + 1;
  }
  return out;
}

std::string repr(std::string_view s) {
  char quote = s.find('\'') != std::string_view::npos && s.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t pos = 0; pos < s.size();) {
    size_t start = pos;
    char32_t c = next(s, pos);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out.append(s.substr(start, pos - start));
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out.push_back(quote);
  return out;
}

std::string repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  std::string out;
  if (text.front() == '-') {
    out.push_back('-');
    text.remove_prefix(1);
  }
  size_t e = text.find('e');
  int exponent = 0;
  const char* digits_at = text.data() + e + 1;
  if (*digits_at == '+') ++digits_at;
  std::from_chars(digits_at, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 1) digits += text.substr(2, e - 2);
  // Python's 'r' format: exponent form below 1e-4 and from 1e16 on.
  int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (n > 1) out += "." + digits.substr(1);
    out += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (n <= exponent + 1) {
    out += digits + std::string(static_cast<size_t>(exponent + 1 - n), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
  }
  return out;
}

std::string html_escape(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (char c : s) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

void append_json(std::string& out, std::string_view s, bool ensure_ascii) {
  out.push_back('"');
  for (size_t pos = 0; pos < s.size();) {
    unsigned char b = static_cast<unsigned char>(s[pos]);
    if (b == '"' || b == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(b));
    } else if (b == '\n') {
      out += "\\n";
    } else if (b == '\r') {
      out += "\\r";
    } else if (b == '\t') {
      out += "\\t";
    } else if (b == '\b') {
      out += "\\b";
    } else if (b == '\f') {
      out += "\\f";
    } else if (b < 0x20 || (ensure_ascii && b == 0x7F)) {
      out += fmt::format("\\u{:04x}", b);
    } else if (ensure_ascii && b >= 0x80) {
      char32_t c = next(s, pos);
      if (c >= 0x10000) {
        c -= 0x10000;
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + static_cast<uint32_t>(c >> 10), 0xDC00 + static_cast<uint32_t>(c & 0x3FF));
      } else {
        out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
      }
      continue;
    } else {
      out.push_back(static_cast<char>(b));
    }
    ++pos;
  }
  out.push_back('"');
}

}  // namespace verge::engine::jinja::text
