#include "engine/templates/jinja_lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/templates/jinja_text.h"

// Design: two states. Outside tags, text runs up to the next {{, {% or {#; what white space the tag
// takes away before itself depends on its sign (- all, + none, else the line's indentation, except
// before {{). Inside tags, tokens until the closing mark, which counts only where brackets balance.
// The rules are those of jinja2/lexer.py, whose regular expressions are quoted where they matter.
namespace verge::engine::jinja {
namespace {

bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_char(char c) { return name_start(c) || digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> run() {
    while (pos_ < source_.size()) VERGE_TRY(outside());
    emit(Token::Type::End);
    return std::move(tokens_);
  }

 private:
  using Type = Token::Type;
  enum class Tag { Variable, Block, Comment, Raw };

  template <class... A>
  Error error(fmt::format_string<A...> format, A&&... args) const {
    return fail(Code::LoadFailed, "chat template, line {}: {}", line_, fmt::format(format, std::forward<A>(args)...));
  }
  Token& emit(Type type, std::string text = {}) {
    Token token;
    token.type = type;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }
  bool at(std::string_view s) const { return std::string_view(source_).substr(pos_).starts_with(s); }
  void advance(size_t n) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(pos_), source_.begin() + static_cast<ptrdiff_t>(pos_ + n), '\n'));
    pos_ += n;
    if (n > 0) line_starting_ = source_[pos_ - 1] == '\n';
  }
  void skip_space() {
    std::string_view rest = std::string_view(source_).substr(pos_);
    advance(rest.size() - text::strip(rest, std::nullopt, text::Left).size());
  }

  // Length of "{%[-+]?\s*WORD\s*" at `from`, and the sign; nullopt where that is not what stands there.
  std::optional<size_t> word_tag(size_t from, std::string_view word, char& sign) const {
    std::string_view s = std::string_view(source_).substr(from);
    if (!s.starts_with("{%")) return std::nullopt;
    size_t n = 2;
    sign = 0;
    if (n < s.size() && (s[n] == '-' || s[n] == '+')) sign = s[n++];
    auto spaces = [&] { n += s.substr(n).size() - text::strip(s.substr(n), std::nullopt, text::Left).size(); };
    spaces();
    if (!s.substr(n).starts_with(word)) return std::nullopt;
    n += word.size();
    spaces();
    return n;
  }

  // Emits text before a tag with the sign's white-space rule applied.
  void data(std::string_view text, char sign, bool variable) {
    bool first_on_line = line_starting_;
    int line = line_;
    if (sign == '-') {
      text = text::strip(text, std::nullopt, text::Right);
    } else if (sign != '+' && !variable) {
      size_t newline = text.rfind('\n');
      size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((start > 0 || first_on_line) && start < text.size() && text::strip(text.substr(start), std::nullopt, text::Left).empty()) {
        text = text.substr(0, start);
      }
    }
    if (!text.empty()) emit(Type::Data, std::string(text)).line = line;
  }

  Result<void> outside() {
    size_t tag = pos_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        emit(Type::Data, source_.substr(pos_));
        advance(source_.size() - pos_);
        return {};
      }
      char c = source_[tag + 1];
      if (c == '{' || c == '%' || c == '#') break;
    }
    char kind = source_[tag + 1], sign = 0;
    std::string_view before = std::string_view(source_).substr(pos_, tag - pos_);
    if (auto n = word_tag(tag, "raw", sign); n && kind == '%') {
      std::string_view rest = std::string_view(source_).substr(tag + *n);
      // (?:\-%}\s*|%}) — trim_blocks does not apply to the opening of a raw block.
      if (rest.starts_with("-%}") || rest.starts_with("%}")) {
        data(before, sign, false);
        bool strip = rest[0] == '-';
        advance(tag + *n + (strip ? 3 : 2) - pos_);
        if (strip) skip_space();
        return raw();
      }
    }
    sign = tag + 2 < source_.size() && (source_[tag + 2] == '-' || source_[tag + 2] == '+') ? source_[tag + 2] : 0;
    data(before, sign, kind == '{');
    advance(tag + 2 + (sign ? 1 : 0) - pos_);
    if (kind == '#') return comment();
    emit(kind == '{' ? Type::VariableBegin : Type::BlockBegin);
    return inside(kind == '{');
  }

  // What a closing mark takes with it: "-" all white space, "+" nothing, else one newline (trim_blocks).
  void after_close(char sign, bool trim) {
    if (sign == '-') skip_space();
    else if (sign != '+' && trim && at("\n")) advance(1);
  }

  Result<void> comment() {
    size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) return error("Missing end of comment tag");
    char sign = close > pos_ && (source_[close - 1] == '-' || source_[close - 1] == '+') ? source_[close - 1] : 0;
    advance(close + 2 - pos_);
    after_close(sign, true);
    return {};
  }

  Result<void> raw() {
    for (size_t tag = source_.find("{%", pos_); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
      char sign = 0;
      auto n = word_tag(tag, "endraw", sign);
      if (!n) continue;
      std::string_view rest = std::string_view(source_).substr(tag + *n);
      char close = !rest.empty() && (rest[0] == '-' || rest[0] == '+') ? rest[0] : 0;
      if (!rest.substr(close ? 1 : 0).starts_with("%}")) continue;
      data(std::string_view(source_).substr(pos_, tag - pos_), sign, false);
      advance(tag + *n + (close ? 3 : 2) - pos_);
      after_close(close, true);
      return {};
    }
    return error("Missing end of raw directive");
  }

  Result<void> inside(bool variable) {
    const char* close = variable ? "}}" : "%}";
    std::string brackets;
    for (;;) {
      skip_space();
      if (pos_ >= source_.size()) return error("unexpected end of template inside a tag");
      if (brackets.empty()) {
        char sign = source_[pos_] == '-' || (source_[pos_] == '+' && !variable) ? source_[pos_] : 0;
        if (std::string_view(source_).substr(pos_ + (sign ? 1 : 0)).starts_with(close)) {
          emit(variable ? Type::VariableEnd : Type::BlockEnd);
          advance(sign ? 3 : 2);
          after_close(sign, !variable);
          return {};
        }
      }
      VERGE_TRY(token(brackets));
    }
  }

  Result<void> token(std::string& brackets) {
    char c = source_[pos_];
    if (digit(c)) return number();
    if (c == '\'' || c == '"') return string(c);
    if (name_start(c)) {
      size_t end = pos_;
      while (end < source_.size() && name_char(source_[end])) ++end;
      emit(Type::Name, source_.substr(pos_, end - pos_));
      advance(end - pos_);
      return {};
    }
    static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(",
                                                      ")",  "{",  "}",  ">",  "<",  "=",  ".", ":", "|", ",", ";"};
    for (std::string_view op : kOperators) {
      if (!at(op)) continue;
      if (c == '(' || c == '[' || c == '{') brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
      if (c == ')' || c == ']' || c == '}') {
        if (brackets.empty()) return error("unexpected '{}'", c);
        if (brackets.back() != c) return error("unexpected '{}', expected '{}'", c, brackets.back());
        brackets.pop_back();
      }
      emit(Type::Operator, std::string(op));
      advance(op.size());
      return {};
    }
    return error("unexpected char {}", text::repr(std::string_view(&c, 1)));
  }

  // Digits with single underscores between them; the value without them.
  size_t digits(size_t from, std::string& value, const char* allowed) const {
    size_t p = from;
    while (p < source_.size()) {
      bool underscore = source_[p] == '_' && p + 1 < source_.size() && std::string_view(allowed).find(source_[p + 1]) != std::string_view::npos;
      if (underscore && p > from) ++p;
      if (std::string_view(allowed).find(source_[p]) == std::string_view::npos) break;
      value.push_back(source_[p++]);
    }
    return p;
  }

  Result<void> number() {
    constexpr const char* kDecimal = "0123456789";
    std::string whole;
    size_t p = pos_;
    if (source_[p] == '0' && p + 1 < source_.size() && std::string_view("xXoObB").find(source_[p + 1]) != std::string_view::npos) {
      char mark = static_cast<char>(source_[p + 1] | 0x20);
      size_t start = p + 2 + (p + 2 < source_.size() && source_[p + 2] == '_' ? 1 : 0);
      p = digits(start, whole, mark == 'x' ? "0123456789abcdefABCDEF" : mark == 'o' ? "01234567" : "01");
      if (whole.empty()) return error("invalid number");
      return integer(whole, mark == 'x' ? 16 : mark == 'o' ? 8 : 2, p);
    }
    p = digits(p, whole, kDecimal);
    // A float needs a fraction or an exponent, and does not start after a dot (a.1.2 indexes twice).
    std::string real = whole;
    size_t q = p;
    bool is_real = false;
    if (pos_ == 0 || source_[pos_ - 1] != '.') {
      if (q + 1 < source_.size() && source_[q] == '.' && digit(source_[q + 1])) {
        real.push_back('.');
        q = digits(q + 1, real, kDecimal);
        is_real = true;
      }
      size_t e = q;
      if (e < source_.size() && (source_[e] == 'e' || source_[e] == 'E')) {
        std::string exponent = "e";
        ++e;
        if (e < source_.size() && (source_[e] == '+' || source_[e] == '-')) exponent.push_back(source_[e++]);
        size_t before = exponent.size();
        e = digits(e, exponent, kDecimal);
        if (exponent.size() > before) {
          real += exponent;
          q = e;
          is_real = true;
        }
      }
    }
    if (is_real) {
      double d = 0;
      auto r = std::from_chars(real.data(), real.data() + real.size(), d);
      if (r.ec == std::errc::result_out_of_range) return error("number out of range");
      emit(Type::Float).real = d;
      advance(q - pos_);
      return {};
    }
    if (whole.size() > 1 && whole[0] == '0') {
      // "007" is three integers to the reference and a syntax error after the first.
      if (whole.find_first_not_of('0') != std::string::npos) return error("expected token 'end of print statement', got 'integer'");
    }
    return integer(whole, 10, p);
  }

  Result<void> integer(const std::string& digits, int base, size_t end) {
    Int value = 0;
    for (char c : digits) {
      int d = digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      value = value * base + d;
      if (value >= static_cast<Int>(1) << 100) return error("integer too large");
    }
    emit(Type::Integer).integer = value;
    advance(end - pos_);
    return {};
  }

  Result<void> string(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return error("unexpected char {}", text::repr(std::string_view(&quote, 1)));
    VERGE_ASSIGN(value, unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1)));
    emit(Type::String, std::move(value));
    advance(end + 1 - pos_);
    return {};
  }

  // Python's "unicode-escape". An escape it does not know stays as it is, backslash included.
  Result<std::string> unescape(std::string_view s) const {
    std::string out;
    for (size_t p = 0; p < s.size();) {
      if (s[p] != '\\') {
        out.push_back(s[p++]);
        continue;
      }
      ++p;
      char c = s[p];
      size_t start = p++;
      switch (c) {
        case '\n': break;
        case '\\':
        case '\'':
        case '"': out.push_back(c); break;
        case 'a': out.push_back('\a'); break;
        case 'b': out.push_back('\b'); break;
        case 'f': out.push_back('\f'); break;
        case 'n': out.push_back('\n'); break;
        case 'r': out.push_back('\r'); break;
        case 't': out.push_back('\t'); break;
        case 'v': out.push_back('\v'); break;
        case 'x':
        case 'u':
        case 'U': {
          size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
          uint32_t value = 0;
          if (p + n > s.size()) return error("truncated \\{} escape", c);
          auto r = std::from_chars(s.data() + p, s.data() + p + n, value, 16);
          if (r.ptr != s.data() + p + n) return error("truncated \\{} escape", c);
          if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return error("illegal Unicode character");
          text::append(out, value);
          p += n;
          break;
        }
        case 'N': return error("\\N escapes are not supported");
        default:
          if (c >= '0' && c <= '7') {
            uint32_t value = 0;
            for (p = start; p < s.size() && p < start + 3 && s[p] >= '0' && s[p] <= '7'; ++p) value = value * 8 + static_cast<uint32_t>(s[p] - '0');
            text::append(out, value);
          } else {
            out.push_back('\\');
            p = start;
            if (static_cast<unsigned char>(c) >= 0x80) {
              // The reference's detour through ASCII turns the character itself into an escape here.
              uint32_t code = text::next(s, p);
              out += code < 0x100 ? fmt::format("x{:02x}", code) : code < 0x10000 ? fmt::format("u{:04x}", code) : fmt::format("U{:08x}", code);
            } else {
              out.push_back(c);
              ++p;
            }
          }
      }
    }
    return out;
  }

  std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last thing read ended a line
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  // Line ends become "\n"; one at the very end is dropped (keep_trailing_newline is off).
  std::string normal;
  normal.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      normal.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      normal.push_back(source[i]);
    }
  }
  if (!normal.empty() && normal.back() == '\n') normal.pop_back();
  return Lexer(std::move(normal)).run();
}

}  // namespace verge::engine::jinja
