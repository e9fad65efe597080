// Regular expressions with groups, for the rules of the front end: Python's syntax and its idea of
// letters and digits, as PCRE2 has them with Unicode properties. Matching is bounded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/error.h"

namespace verge::engine::phonemes {

class Pattern {
 public:
  // LoadFailed with what is wrong: tables of a model's files are parts of patterns.
  static Result<Pattern> compile(std::string_view expression, bool any_case = false);

  struct Match {
    std::string_view subject;
    std::vector<std::pair<size_t, size_t>> groups;  // bytes; npos where a group took no part
    size_t begin() const { return groups[0].first; }
    size_t end() const { return groups[0].second; }
    bool has(size_t i) const { return i < groups.size() && groups[i].first != std::string::npos; }
    std::string_view operator[](size_t i) const {
      if (!has(i)) return {};
      return subject.substr(groups[i].first, groups[i].second - groups[i].first);
    }
  };
  // The first match from byte `from` on. The subject is UTF-8. None where the bounds are reached.
  std::optional<Match> find(std::string_view subject, size_t from = 0) const;
  bool matches(std::string_view subject) const { return find(subject).has_value(); }
  // All matches that are not empty.
  void each(std::string_view subject, const std::function<void(const Match&)>& take) const;
  std::string replaced(std::string_view subject, const std::function<std::string(const Match&)>& by) const;
  std::string replaced(std::string_view subject, std::string_view by) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

// Text that a pattern takes as it is.
std::string escaped(std::string_view text);

}  // namespace verge::engine::phonemes
