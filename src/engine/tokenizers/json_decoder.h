// The decoder of tokenizer.json, as far as it works token by token, so that text can be streamed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/json.h"

namespace verge::engine {

struct JsonDecoder {
  enum class Words {
    Joined,         // tokens follow one another
    Spaced,         // a space before every token (no decoder at all)
    ContinuingHash  // a space before every token without the WordPiece prefix
  };
  Words words = Words::Joined;
  bool byte_level = false;
  bool byte_fallback = false;
  std::string word_piece_prefix;
  std::vector<std::pair<std::string, std::string>> replacements;  // in order
  bool drop_leading_space = false;

  // What a token appends; an added one is its own text.
  std::string piece(std::string_view token, bool added) const;
};

// `component` null: no decoder. LoadFailed names a decoder that is not known.
Result<JsonDecoder> make_json_decoder(const json::object* component);

}  // namespace verge::engine
