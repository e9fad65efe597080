// ICU converts, and detects with enough text. Short text is told apart here: ICU's detector takes a few words of
// Chinese for Danish. First by how dense the high bytes are in their words, then by the rows of the CJK tables that
// everyday characters are in.
#include "convert/charset.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "support/text.h"
#include "support/utf8.h"

namespace verge::convert {
namespace {

using Byte = unsigned char;

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr size_t kDeclarationBytes = 4096;  // where a document names its charset
constexpr size_t kDetectBytes = 64 << 10;

bool high(char c) { return static_cast<Byte>(c) >= 0x80; }
bool ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

struct Utf8 {
  std::string text;
  size_t good = 0, bad = 0;  // characters beyond ASCII; runs of bytes that are none
};

Utf8 read_utf8(std::string_view bytes) {
  Utf8 out;
  out.text.reserve(bytes.size());
  bool in_bad = false;
  while (!bytes.empty()) {
    const size_t length = utf8_sequence(bytes);
    if (length == 0) {
      if (!in_bad) out.text += kReplacement;
      out.bad += !in_bad;
    } else {
      out.text += bytes.substr(0, length);
      out.good += length > 1;
    }
    in_bad = length == 0;
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

// WHATWG's reading of labels: what browsers decode with.
std::string canonical(std::string_view label) {
  std::string name = ascii_lower(label);
  if (name.size() > 40 || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_:.") != name.npos) return {};
  struct Alias {
    std::string_view label, name;
  };
  static constexpr Alias kAliases[] = {
      {"utf8", "utf-8"},           {"iso-8859-1", "windows-1252"}, {"iso8859-1", "windows-1252"},   {"latin1", "windows-1252"},
      {"latin-1", "windows-1252"}, {"us-ascii", "windows-1252"},   {"ascii", "windows-1252"},       {"iso-8859-9", "windows-1254"},
      {"gb2312", "gb18030"},       {"gb_2312-80", "gb18030"},      {"gbk", "gb18030"},              {"x-gbk", "gb18030"},
      {"cp936", "gb18030"},        {"shift_jis", "windows-31j"},   {"shift-jis", "windows-31j"},    {"sjis", "windows-31j"},
      {"x-sjis", "windows-31j"},   {"cp932", "windows-31j"},       {"ms932", "windows-31j"},        {"euc-kr", "windows-949"},
      {"ks_c_5601-1987", "windows-949"}, {"cp949", "windows-949"}, {"big5", "windows-950"},         {"cp950", "windows-950"},
      {"x-user-defined", "windows-1252"}, {"unicode", "utf-16le"}, {"utf-16", "utf-16le"},          {"utf-32", "utf-32le"},
      {"ucs-2", "utf-16le"},       {"iso-8859-8-i", "iso-8859-8"}, {"koi8-r", "koi8-r"},            {"koi8", "koi8-r"},
  };
  for (const Alias& alias : kAliases) {
    if (name == alias.label) return std::string(alias.name);
  }
  return name;
}

struct CloseConverter {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};

// nullopt: ICU does not know the charset, or `strict` and the bytes are not of it.
std::optional<std::string> decode(std::string_view bytes, const std::string& charset, bool strict) {
  if (charset.empty() || bytes.size() > (size_t{1} << 29)) return std::nullopt;
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, CloseConverter> converter(ucnv_open(charset.c_str(), &error));
  if (U_FAILURE(error)) return std::nullopt;
  if (strict) ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  std::vector<UChar> wide(bytes.size() * 2 + 16);
  const int32_t units = ucnv_toUChars(converter.get(), wide.data(), static_cast<int32_t>(wide.size()), bytes.data(), static_cast<int32_t>(bytes.size()), &error);
  if (U_FAILURE(error)) return std::nullopt;
  std::string text(static_cast<size_t>(units) * 3 + 1, '\0');
  int32_t length = 0;
  u_strToUTF8WithSub(text.data(), static_cast<int32_t>(text.size()), &length, wide.data(), units, 0xfffd, nullptr, &error);
  if (U_FAILURE(error)) return std::nullopt;
  text.resize(static_cast<size_t>(length));
  return text;
}

struct Mark {
  std::string_view bytes;
  const char* charset;
};
constexpr Mark kMarks[] = {{{"\xff\xfe\0\0", 4}, "utf-32le"}, {{"\0\0\xfe\xff", 4}, "utf-32be"}, {"\xff\xfe", "utf-16le"},
                           {"\xfe\xff", "utf-16be"},          {"\xef\xbb\xbf", "utf-8"},         {"\x84\x31\x95\x33", "gb18030"}};

// UTF-16 and UTF-32 without a mark: their NULs are in the same places of most units, or of some where the bytes are
// no UTF-8 with NULs in it.
std::string wide_charset(std::string_view bytes, bool utf8) {
  const std::string_view part = bytes.substr(0, kDetectBytes);
  std::array<size_t, 4> nul{};
  for (size_t i = 0; i < part.size(); ++i) nul[i % 4] += part[i] == '\0';
  const size_t quads = part.size() / 4, pairs = part.size() / 2;
  if (quads > 0 && bytes.size() % 4 == 0) {
    if (nul[2] + nul[3] == 2 * quads && nul[0] < quads / 4 + 1) return "utf-32le";
    if (nul[0] + nul[1] == 2 * quads && nul[3] < quads / 4 + 1) return "utf-32be";
  }
  if (pairs == 0 || bytes.size() % 2 != 0) return {};
  const size_t even = nul[0] + nul[2], uneven = nul[1] + nul[3];
  const size_t least = utf8 ? pairs * 3 / 4 + 1 : pairs / 8 + 1;
  if (uneven >= least && even * 8 <= uneven) return "utf-16le";
  if (even >= least && uneven * 8 <= even) return "utf-16be";
  return {};
}

// How dense high bytes are in the words that have any: some in Western text, most in all other.
double density(std::string_view bytes) {
  size_t all = 0, highs = 0;
  for (size_t i = 0; i < bytes.size();) {
    size_t length = 0, inside = 0;
    for (; i < bytes.size() && (high(bytes[i]) || ascii_letter(bytes[i])); ++i) ++length, inside += high(bytes[i]);
    if (inside > 0) all += length, highs += inside;
    if (length == 0) ++i;
  }
  return all == 0 ? 0 : static_cast<double>(highs) / static_cast<double>(all);
}

// A charset of two bytes a character, and how usual the characters of its rows are.
struct Row {
  Byte first, last;  // lead bytes
  double weight;
};
struct DoubleByte {
  const char* charset;
  Row single;  // bytes that stand alone
  Byte lead, trail;
  double other;  // weight of the rows that are not listed
  std::array<Row, 3> rows;
};
constexpr DoubleByte kDoubleByte[] = {
    {"gb18030", {1, 0, 0}, 0x81, 0x40, 0.3, {{{0xa1, 0xa1, 1}, {0xa3, 0xa3, 1}, {0xb0, 0xd7, 0.85}}}},
    {"windows-31j", {0xa1, 0xdf, 0.5}, 0x81, 0x40, 0.2, {{{0x81, 0x83, 1}, {0x88, 0x97, 0.9}, {0x98, 0x9f, 0.5}}}},
    {"windows-949", {1, 0, 0}, 0xa1, 0xa1, 0.1, {{{0xa1, 0xa1, 1}, {0xa3, 0xa3, 1}, {0xb0, 0xc8, 0.95}}}},
    {"windows-950", {1, 0, 0}, 0xa1, 0x40, 0.2, {{{0xa1, 0xa1, 1}, {0xa4, 0xc6, 0.9}, {0xc9, 0xf9, 0.3}}}},
    {"euc-jp", {1, 0, 0}, 0xa1, 0xa1, 0.2, {{{0xa1, 0xa1, 1}, {0xa4, 0xa5, 1}, {0xb0, 0xcf, 0.7}}}},
};

// Mean weight of the characters; 0 where a byte is out of place.
double usual(const DoubleByte& set, std::string_view bytes) {
  double sum = 0, low_trails = 0;
  size_t count = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (!high(bytes[i])) continue;
    const Byte lead = static_cast<Byte>(bytes[i]);
    ++count;
    if (lead >= set.single.first && lead <= set.single.last) {
      sum += set.single.weight;
      continue;
    }
    if (lead < set.lead || lead > 0xfe) return 0;
    if (++i == bytes.size()) break;  // cut
    const Byte trail = static_cast<Byte>(bytes[i]);
    if (trail < set.trail || trail == 0x7f || trail == 0xff) return 0;
    low_trails += trail < 0x80;
    // GB 2312 and EUC have no trail below 0xa1: an everyday character never has one.
    const bool everyday = trail >= 0xa1 || set.charset[0] == 'w';
    double weight = set.other;
    for (const Row& row : set.rows) {
      if (everyday && lead >= row.first && lead <= row.last) weight = row.weight;
    }
    sum += weight;
  }
  if (count == 0) return 0;
  double mean = sum / static_cast<double>(count);
  const std::string_view name = set.charset;
  if (name == "windows-949" && count < 4) mean *= 0.85;           // two Chinese characters look Korean too
  if (name == "windows-950" && low_trails == 0) mean *= 0.8;      // a third of its characters have one
  return mean;
}

struct Guess {
  std::string charset;
  int confidence;
};

std::vector<Guess> icu_guesses(std::string_view bytes) {
  std::vector<Guess> guesses;
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UCharsetDetector, void (*)(UCharsetDetector*)> detector(ucsdet_open(&error), [](UCharsetDetector* d) { ucsdet_close(d); });
  if (U_FAILURE(error)) return guesses;
  ucsdet_setText(detector.get(), bytes.data(), static_cast<int32_t>(bytes.size()), &error);
  int32_t found = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &found, &error);
  for (int32_t i = 0; U_SUCCESS(error) && i < found; ++i) {
    const std::string_view name = ucsdet_getName(matches[i], &error);
    // UTF-16 is named for any text, and nobody's files are in the others.
    if (name.starts_with("UTF") || name.starts_with("IBM") || name == "ISO-8859-6") continue;
    guesses.push_back({canonical(name), ucsdet_getConfidence(matches[i], &error)});
  }
  return guesses;
}

bool western(std::string_view charset) {
  return charset == "windows-1252" || charset == "windows-1250" || charset == "windows-1254" || charset == "iso-8859-2";
}

bool double_byte(std::string_view charset) {
  return std::ranges::any_of(kDoubleByte, [&](const DoubleByte& set) { return charset == set.charset; });
}

// Text of Cyrillic letters alone, too short for statistics: small letters, which most are, tell the charsets apart.
std::string cyrillic(std::string_view bytes) {
  size_t all = 0, small_windows = 0, small_koi = 0, dos = 0;
  for (char c : bytes) {
    if (!high(c)) continue;
    const Byte byte = static_cast<Byte>(c);
    ++all;
    small_windows += byte >= 0xe0;
    small_koi += byte >= 0xc0 && byte < 0xe0;
    dos += byte < 0xb0 || (byte >= 0xe0 && byte <= 0xf1);
  }
  if (all < 4) return {};
  if (dos == all && small_windows < all) return "ibm866";
  if (small_windows + small_koi < all) return {};
  if (small_windows * 10 >= all * 6) return "windows-1251";
  return small_koi * 10 >= all * 6 ? "koi8-u" : "";
}

// Bytes that are letters in Central Europe and signs (³ ¹ ¿ ± ¶ ¼) in the West, inside a word.
std::string central_european(std::string_view bytes) {
  const auto letter = [](char c) { return ascii_letter(c) || static_cast<Byte>(c) >= 0xc0; };
  bool windows = false, iso = false;
  for (size_t i = 1; i + 1 < bytes.size(); ++i) {
    if (!letter(bytes[i - 1]) || !letter(bytes[i + 1])) continue;
    const Byte byte = static_cast<Byte>(bytes[i]);
    iso |= byte == 0xb1 || byte == 0xb6 || byte == 0xbc;
    windows |= byte == 0xb3 || byte == 0xb9 || byte == 0xbf || byte == 0x9d;
  }
  return iso ? "iso-8859-2" : windows ? "windows-1250" : "";
}

// A sign before a letter (20°C, 5µm) is an odd character of Big5 and GB 18030. Their text has some
// whose second byte is beyond ASCII, too. Shift JIS takes those signs for narrow Katakana, and
// writes wide ones with a letter behind.
bool has_pairs(std::string_view bytes) {
  return std::ranges::adjacent_find(bytes, [](char a, char b) { return high(a) && high(b); }) != bytes.end();
}

// Bytes that are no UTF-8. A piece of a few ten kilobytes is looked at.
std::string detect(std::string_view bytes) {
  const std::string_view part = bytes.substr(0, kDetectBytes);
  const std::vector<Guess> guesses = icu_guesses(part);
  const auto first = [&](int least, auto fits) {
    const auto it = std::ranges::find_if(guesses, [&](const Guess& one) { return one.confidence >= least && fits(one.charset); });
    return it == guesses.end() ? std::string() : it->charset;
  };
  if (std::string name = first(50, [](const std::string& one) { return one.starts_with("iso-2022"); }); !name.empty()) return name;
  const double dense = density(part);
  if (dense >= 0.45) {
    const bool pairs = has_pairs(part);
    const auto possible = [&](std::string_view charset) { return pairs || charset == "windows-31j"; };
    const std::string_view whole = part.size() < bytes.size() ? part.substr(0, part.rfind('\n')) : part;
    if (std::string name = first(60, double_byte);
        !name.empty() && possible(name) && decode(whole, name, true))
      return name;
    const DoubleByte* best = nullptr;
    double most = 0.7;
    for (const DoubleByte& set : kDoubleByte) {
      if (!possible(set.charset)) continue;
      if (const double mean = usual(set, part); mean > most) most = mean, best = &set;
    }
    if (best) return best->charset;
    const bool hebrew = std::ranges::all_of(part, [](char c) { return !high(c) || (static_cast<Byte>(c) >= 0xe0 && static_cast<Byte>(c) <= 0xfa); });
    if (hebrew && !first(10, [](const std::string& one) { return one == "iso-8859-8"; }).empty()) return "windows-1255";
    const std::string letters = dense >= 0.9 ? cyrillic(part) : "";
    if (letters == "ibm866") return letters;
    // Ukrainian letters are box drawings in KOI8-R.
    const std::string name = first(10, [](const std::string& one) { return !western(one) && !double_byte(one); });
    if (!name.empty()) return name == "koi8-r" ? "koi8-u" : name;
    if (!letters.empty()) return letters;
  }
  if (std::string name = central_european(part); !name.empty()) return name;
  const std::string name = first(20, western);
  return name.empty() ? "windows-1252" : name;
}

std::string tidy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else if (text[i] == '\0') {
      out += kReplacement;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The value of `name=value` or `name="value"` in text of lower case.
std::string value_after(std::string_view text, std::string_view name) {
  for (size_t at = 0; (at = text.find(name, at)) != text.npos;) {
    at += name.size();
    size_t from = text.find_first_not_of(" \t\r\n", at);
    if (from == text.npos || text[from] != '=') continue;
    from = text.find_first_not_of(" \t\r\n\"'", from + 1);
    if (from == text.npos) return {};
    return std::string(text.substr(from, text.find_first_of(" \t\r\n\"';>/?,", from) - from));
  }
  return {};
}

}  // namespace

std::string declared_charset(std::string_view kind, std::string_view media_type, std::string_view bytes) {
  if (const size_t parameters = media_type.find(';'); parameters != media_type.npos) {
    if (std::string name = value_after(ascii_lower(media_type.substr(parameters)), "charset"); !name.empty()) return name;
  }
  if (kind != "html" && kind != "xml") return {};
  const std::string head = ascii_lower(bytes.substr(0, kDeclarationBytes));
  std::string name;
  if (const size_t xml = head.find("<?xml"); xml != head.npos) name = value_after(std::string_view(head).substr(xml, head.find('>', xml) - xml), "encoding");
  for (size_t at = 0; kind == "html" && name.empty() && (at = head.find("<meta", at)) != head.npos; at += 5) {
    name = value_after(std::string_view(head).substr(at, head.find('>', at) - at), "charset");
  }
  // Who can read this in single bytes is not reading UTF-16.
  return name.starts_with("utf-16") || name.starts_with("utf-32") ? "utf-8" : name;
}

Result<std::string> to_utf8(std::string_view bytes, std::string_view declared) {
  for (const Mark& mark : kMarks) {
    if (!bytes.starts_with(mark.bytes)) continue;
    bytes.remove_prefix(mark.bytes.size());
    auto text = std::string_view(mark.charset) == "utf-8" ? std::optional(read_utf8(bytes).text) : decode(bytes, mark.charset, false);
    if (!text) return fail(Code::InvalidInput, "the document is too large");
    return tidy(*text);
  }
  const std::string named = canonical(declared);
  const bool wide = named.starts_with("utf-16") || named.starts_with("utf-32");
  const std::string looks_wide = wide ? named : wide_charset(bytes, is_utf8(bytes));
  if (!looks_wide.empty()) {
    if (auto text = decode(bytes, looks_wide, !wide)) return tidy(*text);
  }
  const Utf8 utf8 = read_utf8(bytes);
  const bool stateful = bytes.find('\x1b') != bytes.npos;  // ISO-2022 writes with seven bits
  if (utf8.bad == 0 && utf8.good == 0 && !stateful) return tidy(utf8.text);
  // Any bytes are windows-1252, so that UTF-8 under a wrong label would be too.
  if (!named.empty() && named != "utf-8" && !(western(named) && utf8.bad == 0)) {
    if (auto text = decode(bytes, named, true)) return tidy(*text);
  }
  if (utf8.bad == 0 && !(stateful && detect(bytes).starts_with("iso-2022"))) return tidy(utf8.text);
  if (utf8.bad > 0 && utf8.good >= 4 * utf8.bad) return tidy(utf8.text);
  if (bytes.find('\0') != bytes.npos) return fail(Code::InvalidInput, "this is no text: it has NUL bytes and is neither UTF-8 nor UTF-16");
  // A declared charset with a few wrong bytes is better than a guess; "UTF-8" that is not is a wrong label.
  if (!named.empty() && named != "utf-8") {
    if (auto text = decode(bytes, named, false)) return tidy(*text);
  }
  if (auto text = decode(bytes, detect(bytes), false)) return tidy(*text);
  return tidy(utf8.text);
}

}  // namespace verge::convert
