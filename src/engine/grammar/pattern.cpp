#include "engine/grammar/pattern.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <optional>

#include "engine/grammar/bounds.h"
#include "engine/tokenizers/unicode.h"

namespace verge::engine::grammar {
namespace {

using Ranges = std::vector<CharRange>;
constexpr char32_t kLast = 0x10FFFF;

Ranges digits() { return {{U'0', U'9'}}; }
Ranges word_characters() { return {{U'0', U'9'}, {U'A', U'Z'}, {U'_', U'_'}, {U'a', U'z'}}; }
Ranges spaces() {
  return {{9, 13}, {32, 32}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
          {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}
Ranges line_ends() { return {{10, 10}, {13, 13}, {0x2028, 0x2029}}; }

Ranges complement(Ranges ranges) {
  std::sort(ranges.begin(), ranges.end(), [](auto& a, auto& b) { return a.low < b.low; });
  Ranges out;
  char32_t at = 0;
  const auto up_to = [&](char32_t end) {  // [at, end), without surrogates
    if (at < end && at < 0xD800) out.push_back({at, std::min<char32_t>(end - 1, 0xD7FF)});
    if (end > 0xE000 && at < end) out.push_back({std::max<char32_t>(at, 0xE000), end - 1});
  };
  for (const CharRange& r : ranges) {
    up_to(r.low);
    at = std::max<char32_t>(at, r.high + 1);
  }
  up_to(kLast + 1);
  return out;
}

// General categories by their short and long names, and a few binary properties; nullopt where it is none of them.
std::optional<Ranges> property(std::string_view name) {
  static const std::map<std::string_view, std::string_view> long_names = {
      {"Letter", "L"}, {"Lowercase_Letter", "Ll"}, {"Uppercase_Letter", "Lu"}, {"Titlecase_Letter", "Lt"}, {"Modifier_Letter", "Lm"},
      {"Other_Letter", "Lo"}, {"Mark", "M"}, {"Nonspacing_Mark", "Mn"}, {"Spacing_Mark", "Mc"}, {"Enclosing_Mark", "Me"},
      {"Number", "N"}, {"Decimal_Number", "Nd"}, {"digit", "Nd"}, {"Letter_Number", "Nl"}, {"Other_Number", "No"},
      {"Punctuation", "P"}, {"punct", "P"}, {"Connector_Punctuation", "Pc"}, {"Dash_Punctuation", "Pd"}, {"Open_Punctuation", "Ps"},
      {"Close_Punctuation", "Pe"}, {"Initial_Punctuation", "Pi"}, {"Final_Punctuation", "Pf"}, {"Other_Punctuation", "Po"},
      {"Symbol", "S"}, {"Math_Symbol", "Sm"}, {"Currency_Symbol", "Sc"}, {"Modifier_Symbol", "Sk"}, {"Other_Symbol", "So"},
      {"Separator", "Z"}, {"Space_Separator", "Zs"}, {"Line_Separator", "Zl"}, {"Paragraph_Separator", "Zp"},
      {"Control", "Cc"}, {"cntrl", "Cc"}, {"Format", "Cf"}, {"Private_Use", "Co"}};
  for (std::string_view prefix : {"General_Category=", "gc="})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  if (name == "Any") return complement({});
  if (name == "ASCII") return Ranges{{0, 127}};
  if (const auto it = long_names.find(name); it != long_names.end()) name = it->second;
  static const std::map<std::string, std::vector<char32_t>> all = [] {  // category -> code points as [low, high] pairs
    std::map<std::string, std::vector<char32_t>> out;
    std::string last;
    for (char32_t c = 0; c <= kLast; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      const std::string category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
      std::vector<char32_t>& list = out[category];
      if (category == last && !list.empty() && list.back() == c - 1) list.back() = c;
      else list.insert(list.end(), {c, c});
      last = category;
    }
    return out;
  }();
  Ranges out;
  for (const auto& [category, list] : all) {
    if (category == "Cn" || (category != name && !(name.size() == 1 && category.starts_with(name)))) continue;
    for (size_t i = 0; i < list.size(); i += 2) out.push_back({list[i], list[i + 1]});
  }
  if (out.empty()) return std::nullopt;
  return out;
}

struct Piece {
  enum Kind { Empty, Set, Sequence, Choice, Repeat, Ahead, NotAhead, Begin, End } kind;
  Piece(Kind k = Empty) : kind(k) {}
  Ranges set;
  std::vector<Piece> parts;
  uint32_t least = 0, most = 0;
  bool looks = false;  // a look-ahead is in it
};

class Parser {
 public:
  Parser(std::string_view pattern) : text_(code_points(pattern)) {}

  Result<Piece> parse() {
    Piece out = choice(0);
    if (error_.empty() && at_ < text_.size()) fault("')' closes no group");
    if (!error_.empty()) return fail(Code::InvalidInput, "{} at character {}", error_, at_);
    return out;
  }

 private:
  bool more() const { return at_ < text_.size() && error_.empty(); }
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool take(char32_t c) { return more() && text_[at_] == c && (++at_, true); }
  void fault(std::string what) {
    if (error_.empty()) error_ = std::move(what);
  }

  Piece choice(int depth) {
    Piece out{Piece::Choice};
    if (depth > bounds::kPatternDepth) return fault("groups are nested too deep"), out;
    do {
      out.parts.push_back(sequence(depth));
      out.looks |= out.parts.back().looks;
    } while (take(U'|'));
    if (out.parts.size() == 1) return std::move(out.parts[0]);
    return out;
  }

  Piece sequence(int depth) {
    Piece out{Piece::Sequence};
    while (more() && peek() != U'|' && peek() != U')') {
      if (++pieces_ > bounds::kPatternNodes) return fault("the expression is too long"), out;
      Piece piece = atom(depth);
      if (!error_.empty()) return out;
      piece = quantified(std::move(piece));
      out.looks |= piece.looks;
      out.parts.push_back(std::move(piece));
    }
    return out;
  }

  Piece quantified(Piece piece) {
    uint32_t least = 0, most = kUnbounded;
    const size_t start = at_;
    if (take(U'*')) {
    } else if (take(U'+')) {
      least = 1;
    } else if (take(U'?')) {
      most = 1;
    } else if (peek() == U'{' && counted(least, most)) {
      if (least > most) return fault("the counts of a repetition are crossed"), piece;
    } else {
      return piece;
    }
    take(U'?');  // lazy: the same strings
    if (peek() == U'*' || peek() == U'+' || peek() == U'?') fault("nothing to repeat");
    if (piece.kind == Piece::Begin || piece.kind == Piece::End || piece.kind == Piece::Ahead || piece.kind == Piece::NotAhead)
      return at_ = start, fault("an assertion can't be repeated"), piece;
    if (piece.looks) return at_ = start, fault("a look-ahead inside a repetition is not supported"), piece;
    Piece out{Piece::Repeat};
    out.least = least;
    out.most = most;
    out.parts.push_back(std::move(piece));
    return out;
  }

  // {m}, {m,} or {m,n}; anything else after a brace is the brace itself.
  bool counted(uint32_t& least, uint32_t& most) {
    size_t i = at_ + 1;
    const auto number = [&](uint32_t& out) {
      const size_t from = i;
      uint64_t n = 0;
      while (i < text_.size() && text_[i] >= U'0' && text_[i] <= U'9') n = std::min<uint64_t>(n * 10 + (text_[i++] - U'0'), 1u << 30);
      out = static_cast<uint32_t>(n);
      return i > from;
    };
    if (!number(least)) {
      if (i < text_.size() && text_[i] == U',') fault("'{,' is read differently by different engines; write {0,");
      return false;
    }
    most = least;
    if (i < text_.size() && text_[i] == U',') {
      ++i;
      if (!number(most)) most = kUnbounded;
    }
    if (i >= text_.size() || text_[i] != U'}') return false;
    at_ = i + 1;
    return true;
  }

  Piece set(Ranges ranges) {
    Piece out{Piece::Set};
    out.set = std::move(ranges);
    return out;
  }

  Piece atom(int depth) {
    const char32_t c = text_[at_++];
    switch (c) {
      case U'^': return {Piece::Begin};
      case U'$': return {Piece::End};
      case U'.': return set(complement(line_ends()));
      case U'[': return brackets();
      case U'(': {
        Piece::Kind kind = Piece::Empty;
        if (take(U'?')) {
          if (take(U':')) {
          } else if (take(U'=')) {
            kind = Piece::Ahead;
          } else if (take(U'!')) {
            kind = Piece::NotAhead;
          } else if (peek() == U'<' && peek(1) != U'=' && peek(1) != U'!') {
            while (more() && !take(U'>')) ++at_;
          } else {
            return fault(peek() == U'<' ? "look-behind is not supported" : "this kind of group is not supported"), Piece{};
          }
        }
        Piece inner = choice(depth + 1);
        if (!take(U')')) return fault("a group is not closed"), inner;
        if (kind == Piece::Empty) {
          Piece group{Piece::Choice};  // keeps a quantifier's operand in one piece
          group.looks = inner.looks;
          group.parts.push_back(std::move(inner));
          return group;
        }
        Piece out{kind};
        out.looks = true;
        out.parts.push_back(std::move(inner));
        return out;
      }
      case U'\\': {
        if (at_ >= text_.size()) return fault("a backslash at the end"), Piece{};
        if (std::optional<Ranges> s = class_escape()) return set(std::move(*s));
        if (peek() == U'b' || peek() == U'B') return fault("word boundaries are not supported"), Piece{};
        if (peek() == U'k' || (peek() >= U'1' && peek() <= U'9')) return fault("back references are not supported"), Piece{};
        const char32_t point = character_escape(false);
        return set({{point, point}});
      }
      case U'*':
      case U'+':
      case U'?': return --at_, fault("nothing to repeat"), Piece{};
      default: return set({{c, c}});
    }
  }

  // \d and its like after the backslash.
  std::optional<Ranges> class_escape() {
    switch (peek()) {
      case U'd': return ++at_, digits();
      case U'D': return ++at_, complement(digits());
      case U'w': return ++at_, word_characters();
      case U'W': return ++at_, complement(word_characters());
      case U's': return ++at_, spaces();
      case U'S': return ++at_, complement(spaces());
      case U'p':
      case U'P': {
        const bool negative = text_[at_++] == U'P';
        std::string name;
        if (take(U'{')) {
          while (more() && peek() != U'}') name += static_cast<char>(std::min<char32_t>(text_[at_++], 127));
          if (!take(U'}')) return fault("a property is not closed"), Ranges{};
        }
        std::optional<Ranges> found = property(name);
        if (!found) return fault("the property '" + name + "' is not known"), Ranges{};
        return negative ? complement(*found) : *found;
      }
      default: return std::nullopt;
    }
  }

  std::optional<char32_t> hex(size_t count) {
    char32_t out = 0;
    for (size_t i = 0; i < count; ++i) {
      const char32_t c = peek(i);
      if (c >= U'0' && c <= U'9') out = out * 16 + (c - U'0');
      else if ((c | 32) >= U'a' && (c | 32) <= U'f') out = out * 16 + ((c | 32) - U'a' + 10);
      else return std::nullopt;
    }
    at_ += count;
    return out;
  }

  char32_t character_escape(bool in_brackets) {
    const char32_t c = text_[at_++];
    switch (c) {
      case U't': return 9;
      case U'n': return 10;
      case U'v': return 11;
      case U'f': return 12;
      case U'r': return 13;
      case U'0':
        if (peek() >= U'0' && peek() <= U'9') fault("octal escapes are not supported");
        return 0;
      case U'b':
        if (in_brackets) return 8;
        break;
      case U'c':
        if ((peek() | 32) >= U'a' && (peek() | 32) <= U'z') return text_[at_++] & 31;
        break;
      case U'x':
        if (auto x = hex(2)) return *x;
        break;
      case U'u': {
        if (take(U'{')) {
          char32_t out = 0;
          const size_t from = at_;
          while (more() && peek() != U'}' && out <= kLast) {
            const auto digit = hex(1);
            if (!digit) break;
            out = out * 16 + *digit;
          }
          if (at_ == from || out > kLast || !take(U'}')) fault("a wrong \\u{…}");
          return out;
        }
        const auto first = hex(4);
        if (!first) break;
        if (*first >= 0xD800 && *first <= 0xDBFF && peek() == U'\\' && peek(1) == U'u') {
          at_ += 2;
          const auto second = hex(4);
          if (second && *second >= 0xDC00 && *second <= 0xDFFF) return 0x10000 + ((*first - 0xD800) << 10) + (*second - 0xDC00);
          fault("a surrogate without its pair");
        }
        return *first;
      }
      default:
        if (c >= 128 || !((c >= U'0' && c <= U'9') || ((c | 32) >= U'a' && (c | 32) <= U'z'))) return c;
    }
    fault("an unknown escape '\\" + std::string(1, static_cast<char>(std::min<char32_t>(c, 127))) + "'");
    return c;
  }

  Piece brackets() {
    const bool negative = take(U'^');
    Ranges ranges;
    while (true) {
      if (!more()) return fault("a character class is not closed"), Piece{};
      if (take(U']')) break;
      bool single = true;
      const auto one = [&]() -> char32_t {
        const char32_t c = text_[at_++];
        if (c != U'\\') return c;
        if (at_ >= text_.size()) return fault("a backslash at the end"), 0;
        if (std::optional<Ranges> s = class_escape()) {
          ranges.insert(ranges.end(), s->begin(), s->end());
          single = false;
          return 0;
        }
        return character_escape(true);
      };
      const char32_t low = one();
      if (!error_.empty()) return {};
      if (peek() == U'-' && peek(1) != U']' && at_ + 1 < text_.size()) {
        if (!single) {  // [\w-.]: the hyphen is itself
          ++at_;
          ranges.push_back({U'-', U'-'});
          continue;
        }
        ++at_;
        const char32_t high = one();
        if (!error_.empty()) return {};
        if (!single) {
          ranges.insert(ranges.end(), {{low, low}, {U'-', U'-'}});
          continue;
        }
        if (low > high) return fault("the ends of a range are crossed"), Piece{};
        ranges.push_back({low, high});
      } else if (single) {
        ranges.push_back({low, low});
      }
    }
    return set(negative ? complement(std::move(ranges)) : std::move(ranges));
  }

  std::u32string text_;
  size_t at_ = 0, pieces_ = 0;
  std::string error_;
};

class Builder {
 public:
  explicit Builder(Languages& l) : l_(l), everything_(l.repeat(l.chars({{0, kLast}, {kEndMark, kEndMark}}), 0, kUnbounded)) {}

  // The texts of `piece` before those of `rest`.
  Lang build(const Piece& piece, Lang rest) {
    switch (piece.kind) {
      case Piece::Empty: return rest;
      case Piece::Set: return l_.concat(l_.both(l_.chars(piece.set), Languages::kAny), rest);
      case Piece::Sequence:
        for (size_t i = piece.parts.size(); i-- > 0;) rest = build(piece.parts[i], rest);
        return rest;
      case Piece::Choice: {
        if (!piece.looks && piece.parts.size() > 1) {
          std::vector<Lang> parts;
          for (const Piece& p : piece.parts) parts.push_back(build(p, Languages::kEmpty));
          return l_.concat(l_.either(std::move(parts)), rest);
        }
        std::vector<Lang> parts;
        for (const Piece& p : piece.parts) parts.push_back(build(p, rest));
        return l_.either(std::move(parts));
      }
      case Piece::Repeat: return l_.concat(l_.repeat(build(piece.parts[0], Languages::kEmpty), piece.least, piece.most), rest);
      case Piece::Ahead: return l_.both(build(piece.parts[0], everything_), rest);
      case Piece::NotAhead: return l_.both(l_.inverse(build(piece.parts[0], everything_)), rest);
      case Piece::Begin: return l_.concat(l_.chars({{kBeginMark, kBeginMark}}), rest);
      case Piece::End: return l_.concat(l_.chars({{kEndMark, kEndMark}}), rest);
    }
    return Languages::kNone;
  }

 private:
  Languages& l_;
  Lang everything_;
};

}  // namespace

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    out += c.value;
    i += c.length;
  }
  return out;
}

Result<Lang> parse_pattern(Languages& l, std::string_view pattern, Match match) {
  if (pattern.size() > bounds::kPatternBytes)
    return fail(Code::InvalidInput, "the pattern has {} bytes; at most {} are taken", pattern.size(), bounds::kPatternBytes);
  VERGE_ASSIGN(piece, Parser(pattern).parse());
  const Lang begin = l.chars({{kBeginMark, kBeginMark}}), end = l.chars({{kEndMark, kEndMark}});
  // A search: anything before and after; `^` and `$` take the marks themselves.
  const bool search = match == Match::Search;
  const Lang open_end = l.either(Languages::kEmpty, search ? l.concat(Languages::kAll, end) : end);
  const Lang open_begin = l.either(Languages::kEmpty, search ? l.concat(begin, Languages::kAll) : begin);
  const Lang whole = l.concat(open_begin, Builder(l).build(piece, open_end));
  const Lang out = l.without_end(l.without_begin(whole));
  if (l.exceeded()) return fail(Code::InvalidInput, "the pattern needs more memory than a grammar may have");
  return out;
}

}  // namespace verge::engine::grammar
