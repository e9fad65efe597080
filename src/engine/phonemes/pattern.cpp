#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/phonemes/pattern.h"

#include <pcre2.h>

#include "support/limits.h"

namespace verge::engine::phonemes {

struct Pattern::Program {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Program() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Result<Pattern> Pattern::compile(std::string_view expression, bool any_case) {
  auto program = std::make_shared<Program>();
  int error = 0;
  size_t offset = 0;
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY |
                           (any_case ? PCRE2_CASELESS : 0u);
  program->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                options, &error, &offset, nullptr);
  program->context = pcre2_match_context_create(nullptr);
  if (!program->code || !program->context) {
    return fail(Code::LoadFailed, "the pattern \"{}\" does not compile (error {} at byte {})",
                expression.substr(0, 200), error, offset);
  }
  pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);
  pcre2_set_match_limit(program->context, limits::kSplitMatchSteps);
  pcre2_set_heap_limit(program->context, limits::kSplitMatchHeapKiB);
  Pattern out;
  out.program_ = std::move(program);
  return out;
}

std::optional<Pattern::Match> Pattern::find(std::string_view subject, size_t from) const {
  if (from > subject.size()) return std::nullopt;
  const auto free = [](pcre2_match_data* data) { pcre2_match_data_free(data); };
  const std::unique_ptr<pcre2_match_data, decltype(free)> data(
      pcre2_match_data_create_from_pattern(program_->code, nullptr), free);
  if (!data) return std::nullopt;
  const int count = pcre2_match(program_->code, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                                subject.size(), from, PCRE2_NO_UTF_CHECK, data.get(),
                                program_->context);
  if (count < 0) return std::nullopt;
  const size_t* pairs = pcre2_get_ovector_pointer(data.get());
  Match match{subject, {}};
  const uint32_t groups = pcre2_get_ovector_count(data.get());
  for (uint32_t i = 0; i < groups; ++i) {
    const bool there = i < static_cast<uint32_t>(count) && pairs[2 * i] != PCRE2_UNSET;
    match.groups.emplace_back(there ? pairs[2 * i] : std::string::npos,
                              there ? pairs[2 * i + 1] : std::string::npos);
  }
  return match;
}

void Pattern::each(std::string_view subject, const std::function<void(const Match&)>& take) const {
  for (size_t at = 0; at <= subject.size();) {
    const auto match = find(subject, at);
    if (!match) return;
    if (match->end() > match->begin()) {
      take(*match);
      at = match->end();
      continue;
    }
    at = match->end() + 1;  // past an empty one, by a whole character
    while (at < subject.size() && (static_cast<unsigned char>(subject[at]) & 0xc0) == 0x80) ++at;
  }
}

std::string Pattern::replaced(std::string_view subject,
                              const std::function<std::string(const Match&)>& by) const {
  std::string out;
  size_t done = 0;
  each(subject, [&](const Match& match) {
    out += subject.substr(done, match.begin() - done);
    out += by(match);
    done = match.end();
  });
  out += subject.substr(done);
  return out;
}

std::string Pattern::replaced(std::string_view subject, std::string_view by) const {
  return replaced(subject, [by](const Match&) { return std::string(by); });
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '_' || static_cast<unsigned char>(c) >= 0x80;
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace verge::engine::phonemes
