// The tokens of one tokenizer as byte tries, made once for a loaded model. Shared by all its grammars; never changes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizers/tokenizer.h"

namespace verge::engine::grammar {

// Texts and their tokens in depth-first order, flat.
struct ByteTrie {
  struct Node {
    uint32_t end = 0;          // the node after this one's descendants
    uint32_t first_token = 0;  // in `tokens`: of this node and its descendants, up to nodes[end].first_token
    uint16_t depth = 0;        // >= 1
    uint16_t own = 0;          // tokens that end here, the first ones
    uint8_t byte = 0;
  };
  std::vector<Node> nodes;     // and one at the end
  std::vector<int32_t> tokens;
  void build(std::vector<std::pair<std::string, int32_t>> texts);
  size_t size() const { return nodes.size() - 1; }
};

class TokenBytes {
 public:
  // `stops`: ids that end an answer. `shown`: control tokens that are texts all the same, by their names.
  TokenBytes(const Tokenizer& tokenizer, std::vector<int32_t> stops, int32_t rows, std::span<const int32_t> shown = {});
  int32_t rows() const { return rows_; }  // of the output matrix: ids past the vocabulary are never admitted
  size_t words() const { return (static_cast<size_t>(rows_) + 31) / 32; }
  std::string_view bytes(int32_t id) const {
    return std::string_view(arena_).substr(offsets_[static_cast<size_t>(id)], offsets_[static_cast<size_t>(id) + 1] - offsets_[static_cast<size_t>(id)]);
  }
  const ByteTrie& trie() const { return trie_; }
  // Of a JSON string's body in which anything may follow: tokens that stay in it, and those that leave it by what
  // follows the quote.
  const std::vector<uint32_t>& body() const { return body_; }
  // Of them those of at most so many characters, one that is cut counted too.
  std::vector<uint32_t> body_up_to(uint32_t characters) const;
  // Characters of the token up to the quote that leaves the body; kNoExit for other tokens.
  static constexpr uint16_t kNoExit = UINT16_MAX;
  uint16_t before_exit(int32_t id) const { return before_exit_[static_cast<size_t>(id)]; }
  const std::vector<uint32_t>& leaving() const { return leaving_; }  // tokens that have one
  const ByteTrie& exits() const { return exits_; }
  const std::vector<int32_t>& bare_exits() const { return bare_exits_; }  // that end with the quote
  const std::vector<int32_t>& stops() const { return stops_; }
  bool is_stop(int32_t id) const;
  bool drops_space() const { return drops_space_; }  // decoding leaves out a space that the text begins with
  size_t longest() const { return longest_; }

 private:
  int32_t rows_;
  std::string arena_;
  std::vector<size_t> offsets_;
  ByteTrie trie_, exits_;
  std::vector<uint32_t> body_, leaving_;
  static constexpr uint32_t kShort = 24;
  std::vector<std::vector<uint32_t>> short_bodies_;        // by characters, 0 to kShort
  std::vector<std::pair<uint16_t, int32_t>> long_bodies_;  // (characters, id), ascending, the longer ones
  std::vector<uint16_t> before_exit_;
  std::vector<int32_t> bare_exits_, stops_;
  bool drops_space_ = false;
  size_t longest_ = 0;
};

}  // namespace verge::engine::grammar
