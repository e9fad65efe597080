// The tokens of a model: text, kind and score by id, and id by text. Texts lie in one arena and the
// index is one flat table, so that 262,144 tokens are built in a few milliseconds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::engine {

// The numbers are GGUF's and SentencePiece's.
enum class TokenKind : uint8_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

uint64_t hash_bytes(std::string_view bytes);

class Vocabulary {
 public:
  // Appends a token; its id is the size before. A text that is there already is LoadFailed with both ids;
  // an empty text is a hole that find() never returns.
  Result<void> add(std::string_view text, TokenKind kind, double score);
  void reserve(size_t tokens, size_t bytes);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  std::string_view text(int32_t id) const { return std::string_view(arena_).substr(tokens_[id].offset, tokens_[id].length); }
  TokenKind kind(int32_t id) const { return tokens_[id].kind; }
  void set_kind(int32_t id, TokenKind kind) { tokens_[id].kind = kind; }
  // Whether plain text may spell the token: control tokens and added ones come only from a match as a whole.
  bool spelled(int32_t id) const { return kind(id) == TokenKind::Normal || kind(id) == TokenKind::Unused; }
  double score(int32_t id) const { return tokens_[id].score; }
  int32_t find(std::string_view text) const;  // -1 where there is none
  // find() of many texts at once: the look-ups wait for memory together instead of one after another.
  void find_all(std::span<const std::string_view> texts, std::span<int32_t> ids) const;
  size_t longest() const { return longest_; }  // bytes of the longest text
  bool contains(int64_t id) const { return id >= 0 && id < size(); }
  // Id of "<0x0A>" and its like, -1 where the vocabulary has none.
  int32_t byte_token(uint8_t byte) const;

 private:
  struct Token {
    double score;
    uint32_t offset, length;
    TokenKind kind;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  void grow();
  int32_t find_hashed(std::string_view text, uint64_t hash) const;

  std::string arena_;
  std::vector<Token> tokens_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  size_t longest_ = 0;
};

// The byte that a text like "<0x0A>" names, -1 where it is no such text.
int parse_byte_token(std::string_view text);

}  // namespace verge::engine
