// PCRE2 with JIT, UTF-8 and Unicode properties, as split patterns need it: \p classes, look-ahead,
// possessive repeats. A pattern comes from a model file and is hostile, so compiling and matching are limited.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "support/error.h"

namespace verge::engine {

class Regex {
 public:
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // `ruby`: the syntax of Oniguruma, which tokenizer.json is written in ("^" and "$" at every line; what
  // PCRE2 reads otherwise or not at all is refused). LoadFailed with the pattern and what is wrong.
  static Result<Regex> compile(std::string_view pattern, bool ruby = false);

  // Matches of one subject, in order, not overlapping. The subject must be valid UTF-8.
  class Matches {
   public:
    Matches(const Regex& regex, std::string_view subject);
    ~Matches();
    Matches(const Matches&) = delete;
    Matches& operator=(const Matches&) = delete;
    // The next match as bytes [begin, end), possibly empty. False: no more, or the match limit was reached.
    bool next(size_t* begin, size_t* end);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Program;
  explicit Regex(std::unique_ptr<Program> code);
  std::unique_ptr<Program> code_;
};

}  // namespace verge::engine
