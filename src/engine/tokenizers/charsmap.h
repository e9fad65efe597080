// SentencePiece's precompiled character map: a darts-clone double array from UTF-8 sequences to
// replacement strings. It comes from a model file, so every index is checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::engine {

class CharsMap {
 public:
  CharsMap() = default;
  // `blob`: u32 length of the double array in bytes, the array (u32 units, little-endian), NUL-terminated strings.
  static Result<CharsMap> parse(std::string_view blob);
  bool empty() const { return units_.empty(); }

  struct Match {
    size_t length = 0;  // bytes of the text; 0: no match
    std::string_view replacement;
  };
  Match longest(std::string_view text) const { return walk(text, false); }
  Match shortest(std::string_view text) const { return walk(text, true); }

 private:
  Match walk(std::string_view text, bool first) const;
  std::vector<uint32_t> units_;
  std::string strings_;
};

}  // namespace verge::engine
