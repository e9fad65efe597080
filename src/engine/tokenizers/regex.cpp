#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tokenizers/regex.h"

#include <pcre2.h>

#include <string>

#include "engine/tokenizers/unicode.h"
#include "support/limits.h"
#include "support/utf8.h"

namespace verge::engine {
namespace {

// PCRE2's \s takes U+180E too, which has not been white space since Unicode 6.3; models were trained without it.
constexpr std::string_view kSpaces = R"(\x09-\x0D\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Rewrites the few constructs that PCRE2 understands in another way than the tokenizers' own engines:
// \s and \S (above), \p{Han} (PCRE2 takes script extensions), and refuses those that it lacks.
Result<std::string> translate(std::string_view pattern, bool ruby) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kSpaces) : "[" + std::string(kSpaces) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kSpaces) + "]";
      } else if ((escaped == 'p' || escaped == 'P') && pattern.substr(i + 1).starts_with("{Han}")) {
        out += std::string("\\") + escaped + "{sc:Han}";
        i += 5;
      } else if (ruby && (escaped == 'h' || escaped == 'H' || escaped == 'R' || escaped == 'X' || escaped == 'C')) {
        return fail(Code::LoadFailed, "tokenizer: \\{} in the pattern \"{}\" is not supported", escaped, pattern.substr(0, 200));
      } else {
        (out += c) += escaped;
      }
      continue;
    }
    if (in_class) {
      if (c == ']') {
        in_class = false;
      } else if (c == '&' && pattern.substr(i).starts_with("&&")) {
        return fail(Code::LoadFailed, "tokenizer: the intersection of classes in \"{}\" is not supported", pattern.substr(0, 200));
      } else if (ruby && c == '[' && !pattern.substr(i).starts_with("[:")) {
        return fail(Code::LoadFailed, "tokenizer: the class within a class in \"{}\" is not supported", pattern.substr(0, 200));
      } else if (ruby && c == '[') {
        size_t close = pattern.find(":]", i);
        if (close == std::string_view::npos) close = i;
        out += pattern.substr(i, close + 2 - i);
        i = close + 1;
        continue;
      }
    } else if (c == '[') {
      in_class = true;
      out += c;
      if (pattern.substr(i + 1).starts_with("^")) out += pattern[++i];
      if (pattern.substr(i + 1).starts_with("]")) out += pattern[++i];
      continue;
    }
    out += c;
  }
  return out;
}

}  // namespace

struct Regex::Program {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Program() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Regex::Regex(std::unique_ptr<Program> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, bool ruby) {
  if (pattern.size() > limits::kSplitPatternBytes) {
    return fail(Code::LoadFailed, "tokenizer: a split pattern of {} bytes, limit {}", pattern.size(), limits::kSplitPatternBytes);
  }
  if (!is_utf8(pattern)) return fail(Code::LoadFailed, "tokenizer: a split pattern is not UTF-8");
  VERGE_ASSIGN(translated, translate(pattern, ruby));
  auto code = std::make_unique<Program>();
  int error = 0;
  size_t offset = 0;
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (ruby ? PCRE2_MULTILINE : PCRE2_DOLLAR_ENDONLY);
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &error, &offset, nullptr);
  if (!code->code) {
    char text[160] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    return fail(Code::LoadFailed, "tokenizer: the split pattern \"{}\" does not compile: {}", pattern.substr(0, 200), text);
  }
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter runs
  code->context = pcre2_match_context_create(nullptr);
  if (!code->context) return fail(Code::LoadFailed, "tokenizer: out of memory for a split pattern");
  pcre2_set_match_limit(code->context, limits::kSplitMatchSteps);
  pcre2_set_heap_limit(code->context, limits::kSplitMatchHeapKiB);
  return Regex(std::move(code));
}

struct Regex::Matches::State {
  const Regex::Program& code;
  std::string_view subject;
  pcre2_match_data* data = nullptr;
  size_t at = 0;
  bool after_empty = false;
  bool jit = true;
};

Regex::Matches::Matches(const Regex& regex, std::string_view subject) : state_(new State{*regex.code_, subject}) {
  state_->data = pcre2_match_data_create(1, nullptr);
}

Regex::Matches::~Matches() { pcre2_match_data_free(state_->data); }

bool Regex::Matches::next(size_t* begin, size_t* end) {
  State& s = *state_;
  if (!s.data) return false;
  while (s.at <= s.subject.size()) {
    uint32_t options = PCRE2_NO_UTF_CHECK;
    if (s.after_empty) options |= PCRE2_NOTEMPTY_ATSTART;
    int rc = pcre2_match(s.code.code, reinterpret_cast<PCRE2_SPTR>(s.subject.data()), s.subject.size(), s.at,
                         options | (s.jit ? 0 : PCRE2_NO_JIT), s.data, s.code.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {  // a long match of a pattern with groups: the interpreter keeps its frames on the heap
      s.jit = false;
      continue;
    }
    if (rc < 0) return false;
    const size_t* pair = pcre2_get_ovector_pointer(s.data);
    *begin = pair[0];
    *end = pair[1];
    if (*end < *begin || *end < s.at) return false;  // \K in a look-around: nothing sensible follows
    s.after_empty = *end == *begin;
    s.at = *end;
    return true;
  }
  return false;
}

}  // namespace verge::engine
