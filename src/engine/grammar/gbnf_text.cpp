#include "engine/grammar/gbnf_text.h"

#include <algorithm>

#include "engine/grammar/bounds.h"
#include "engine/tokenizers/unicode.h"

namespace verge::engine::grammar {
namespace {

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {}

  Result<GbnfText> read() {
    skip();
    while (more()) definition();
    if (error_.empty()) check_rules();
    if (!error_.empty())
      return fail(Code::InvalidInput, "{}{}", line_and_column(source_, error_at_), error_);
    return std::move(out_);
  }

 private:
  bool more() const { return error_.empty() && at_ < source_.size(); }
  char peek() const { return more() ? source_[at_] : 0; }
  bool take(char c) { return more() && source_[at_] == c && (++at_, true); }
  void fault(std::string what, size_t at) {
    if (!error_.empty()) return;
    error_ = std::move(what);
    error_at_ = at;
  }
  void fault(std::string what) { fault(std::move(what), at_); }

  void skip() {
    while (more()) {
      if (peek() == '#') at_ = std::min(source_.find('\n', at_), source_.size());
      else if (std::string_view(" \t\r\n").find(peek()) != std::string_view::npos) ++at_;
      else return;
    }
  }
  std::string_view name() {
    const size_t start = at_;
    while (more() && name_character(peek())) ++at_;
    return source_.substr(start, at_ - start);
  }
  // Whether a name and ::= stand here: the rule before it ends.
  bool at_definition() {
    const size_t start = at_;
    const bool named = !name().empty();
    skip();
    const bool out = named && source_.substr(at_).starts_with("::=");
    at_ = start;
    return out;
  }
  uint32_t add(GbnfNode node) {
    if (out_.nodes.size() >= bounds::kGbnfNodes) fault("the grammar has too many parts");
    out_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(out_.nodes.size() - 1);
  }
  uint32_t rule(std::string_view name, size_t at) {
    const auto number = static_cast<uint32_t>(out_.rules.size());
    const auto [it, fresh] = numbers_.try_emplace(std::string(name), number);
    if (fresh) out_.rules.push_back({std::string(name), 0, at, false});
    return it->second;
  }

  void definition() {
    const size_t start = at_;
    const std::string_view called = name();
    if (called.empty())
      return fault("a rule begins with its name and '::='; Lark's and other forms are not read");
    skip();
    if (!source_.substr(at_).starts_with("::="))
      return fault("'::=' must follow the name of a rule (GBNF); Lark's form is not read");
    at_ += 3;
    const uint32_t number = rule(called, start);
    if (out_.rules[number].defined)
      return fault("the rule '" + std::string(called) + "' is defined twice", start);
    out_.rules[number].defined = true;
    out_.rules[number].at = start;
    const uint32_t body = choice(0);
    out_.rules[number].body = body;
    if (more() && !at_definition()) fault("a rule, or the end of the grammar, is expected here");
  }

  uint32_t choice(int depth) {
    GbnfNode out{GbnfNode::Choice, {}, {}, 0, 0, 0, {}, at_};
    if (depth > bounds::kPatternDepth) return fault("groups are nested too deep"), 0;
    do {
      out.items.push_back(sequence(depth));
    } while (take('|'));
    return out.items.size() == 1 ? out.items[0] : add(std::move(out));
  }

  uint32_t sequence(int depth) {
    skip();
    GbnfNode out{GbnfNode::Sequence, {}, {}, 0, 0, 0, {}, at_};
    while (more() && peek() != '|' && peek() != ')' && !(name_character(peek()) && at_definition())) {
      const size_t start = at_;
      uint32_t item = atom(depth);
      skip();
      int repeats = 0;
      while (more() && std::string_view("*+?{").find(peek()) != std::string_view::npos) {
        if (++repeats > 4) return fault("repetitions of repetitions are nested too deep"), 0;
        GbnfNode repeat{GbnfNode::Repeat, {}, {}, 0, 0, kUnbounded, {item}, start};
        times(repeat);
        item = add(std::move(repeat));
        skip();
      }
      out.items.push_back(item);
    }
    return out.items.size() == 1 ? out.items[0] : add(std::move(out));
  }

  void times(GbnfNode& repeat) {
    const size_t start = at_;
    if (take('*')) return;
    if (take('+')) return void(repeat.least = 1);
    if (take('?')) return void(repeat.most = 1);
    take('{');
    skip();
    repeat.least = peek() == ',' ? 0 : number();
    skip();
    if (take(',')) {
      skip();
      repeat.most = peek() == '}' ? kUnbounded : number();
      skip();
    } else {
      repeat.most = repeat.least;
    }
    if (!take('}')) return fault("'}' must end a count of repetitions");
    if (repeat.most < repeat.least) fault("the counts of a repetition are crossed", start);
  }
  uint32_t number() {
    const size_t start = at_;
    uint64_t out = 0;
    while (more() && peek() >= '0' && peek() <= '9' && out < 1'000'000'000)
      out = out * 10 + static_cast<uint64_t>(source_[at_++] - '0');
    if (at_ == start) fault("a number is expected here");
    if (out > 1'000'000'000) fault("a count of repetitions is over 1,000,000,000", start);
    return static_cast<uint32_t>(out);
  }

  uint32_t atom(int depth) {
    const size_t start = at_;
    if (take('"')) {
      GbnfNode out{GbnfNode::Text, {}, {}, 0, 0, 0, {}, start};
      while (more() && peek() != '"') out.text += character();
      if (!take('"')) fault("a text has no closing quote", start);
      return add(std::move(out));
    }
    if (take('[')) return characters(start);
    if (take('.')) {
      const std::vector<CharRange> any{{0, 0xD7FF}, {0xE000, 0x10FFFF}};
      return add({GbnfNode::Class, {}, any, 0, 0, 0, {}, start});
    }
    if (take('(')) {
      const uint32_t inner = choice(depth + 1);
      if (!take(')')) fault("a group has no ')'", start);
      return inner;
    }
    if (const std::string_view called = name(); !called.empty()) {
      const uint32_t number = rule(called, start);
      return add({GbnfNode::Rule, {}, {}, number, 0, 0, {}, start});
    }
    if (peek() == '<' || peek() == '!')
      return fault("references to tokens are not supported; write their text"), 0;
    if (std::string_view("*+?{").find(peek()) != std::string_view::npos)
      return fault("nothing stands before this repetition"), 0;
    return fault("a text, a class, a group or a rule is expected here"), 0;
  }

  uint32_t characters(size_t start) {
    GbnfNode out{GbnfNode::Class, {}, {}, 0, 0, 0, {}, start};
    const bool inverse = take('^');
    while (more() && peek() != ']') {
      const size_t here = at_;
      const char32_t low = character();
      char32_t high = low;
      if (peek() == '-' && at_ + 1 < source_.size() && source_[at_ + 1] != ']') {
        ++at_;
        high = character();
      }
      if (high < low) return fault("a range of characters is crossed", here), 0;
      out.ranges.push_back({low, high});
    }
    if (!take(']')) return fault("a class has no ']'", start), 0;
    std::sort(out.ranges.begin(), out.ranges.end(),
              [](const CharRange& a, const CharRange& b) { return a.low < b.low; });
    out.ranges = inverse ? others(out.ranges) : scalars(out.ranges);
    if (out.ranges.empty()) return fault("no character is in this class", start), 0;
    return add(std::move(out));
  }
  // Surrogates are no characters.
  static std::vector<CharRange> scalars(const std::vector<CharRange>& ranges) {
    std::vector<CharRange> out;
    for (const CharRange& r : ranges) {
      if (r.low < 0xD800) out.push_back({r.low, std::min<char32_t>(r.high, 0xD7FF)});
      if (r.high > 0xDFFF) out.push_back({std::max<char32_t>(r.low, 0xE000), r.high});
    }
    return out;
  }
  static std::vector<CharRange> others(const std::vector<CharRange>& ranges) {
    std::vector<CharRange> out;
    char32_t at = 0;
    for (const CharRange& r : ranges) {
      if (r.low > at) out.push_back({at, r.low - 1});
      at = std::max<char32_t>(at, r.high + 1);
    }
    if (at <= 0x10FFFF) out.push_back({at, 0x10FFFF});
    return scalars(out);
  }

  char32_t character() {
    const size_t start = at_;
    if (!take('\\')) {
      const CodePoint c = code_point_at(source_, at_);
      at_ += c.length;
      return c.value;
    }
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'x': return hex(2, start);
      case 'u': return hex(4, start);
      case 'U': return hex(8, start);
      default: break;
    }
    if (c == 0 || std::string_view("\"\\[]-^./|'").find(c) == std::string_view::npos)
      fault("this escape is not known", start);
    return static_cast<char32_t>(c);
  }
  char32_t hex(int digits, size_t start) {
    uint64_t out = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      const int value = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (value < 0) return fault("hexadecimal digits are missing", start), U'?';
      out = out * 16 + static_cast<uint64_t>(value);
      ++at_;
    }
    if (out > 0x10FFFF || (out >= 0xD800 && out <= 0xDFFF))
      return fault("this is no character", start), U'?';
    return static_cast<char32_t>(out);
  }

  void check_rules() {
    for (const GbnfText::Rule& r : out_.rules)
      if (!r.defined) return fault("the rule '" + r.name + "' is not defined", r.at);
    const auto root = numbers_.find("root");
    if (root == numbers_.end()) return fault("there is no rule 'root'", 0);
    out_.root = root->second;
  }

  std::string_view source_;
  size_t at_ = 0, error_at_ = 0;
  std::string error_;
  GbnfText out_;
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace

Result<GbnfText> GbnfText::parse(std::string_view source) {
  if (source.size() > bounds::kSourceBytes)
    return fail(Code::InvalidInput, "the grammar has {} bytes; at most {} are taken",
                source.size(), bounds::kSourceBytes);
  return Reader(source).read();
}

std::string line_and_column(std::string_view source, size_t at) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < std::min(at, source.size()); ++i) {
    if (source[i] == '\n') ++line, column = 1;
    else if ((static_cast<unsigned char>(source[i]) & 0xC0) != 0x80) ++column;
  }
  return "at line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
}

}  // namespace verge::engine::grammar
