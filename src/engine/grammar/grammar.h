// What an answer must look like, for one vocabulary: which tokens may come next. A mask depends on the source, the tokenizer
// and the ids so far, and on nothing else: no clock, no load, no order of requests.
//
// GR1 A token that a mask admits leads to a place whose mask admits one too; an answer can always be ended.
// GR2 An id that ends an answer is admitted exactly where the text so far is complete.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/grammar/envelope.h"
#include "engine/grammar/machine.h"
#include "engine/grammar/vocabulary.h"
#include "support/error.h"

namespace verge::engine::grammar {

// Choice: a JSON list of texts. Gbnf: see gbnf.h.
enum class SourceKind : uint8_t { JsonSchema, Regex, Choice, Gbnf };

// One bit a token, 32 to a word.
using Mask = std::vector<uint32_t>;
inline bool admits(const Mask& mask, int32_t id) { return mask[static_cast<size_t>(id) >> 5] >> (id & 31) & 1; }

// Where one answer stands. A copy is as good as the original.
struct Matcher {
  Machine::Position position;
  bool begins_text = false;  // nothing of a text is there yet, and its first space would be left out
};

// Shared by all answers of one source; safe to call from several threads.
class Grammar {
 public:
  // Errors: InvalidInput that says what is wrong where. `tokens` outlives the grammar.
  static Result<std::shared_ptr<Grammar>> compile(SourceKind kind, std::string_view source, const TokenBytes& tokens);

  // Errors name the place by the part's `at`.
  static Result<std::shared_ptr<Grammar>> compile(const Envelope& envelope, const TokenBytes& tokens);

  // `begins_text` as worker/stream.h has it: the answer is a text of its own.
  Matcher start(bool begins_text) const { return {machine_.start(), begins_text && tokens_->drops_space()}; }
  std::shared_ptr<const Mask> mask(const Matcher& at);
  // False where the token is not admitted; the matcher is as before then. An id that ends the answer changes nothing.
  bool advance(Matcher& at, int32_t token);
  bool complete(const Matcher& at);
  // So many places were met that a new one should be compiled for the next answer: what is numbered stays.
  bool worn();

 private:
  Grammar(std::unique_ptr<Rules> rules, const TokenBytes& tokens) : machine_(std::move(rules)), tokens_(&tokens) {}
  bool run(Machine::Position& at, std::string_view bytes);
  struct Fill;

  std::mutex mutex_;
  Machine machine_;
  const TokenBytes* tokens_;
  std::unordered_map<int32_t, std::shared_ptr<const Mask>> masks_;  // of places whose mask needs no captured bytes
  struct StringMasks {  // of tokens inside a string's body
    Mask stay, leave;   // that stay in it, and that close it where their quote is
  };
  StringMasks string_masks(uint32_t state);
  std::unordered_map<uint32_t, std::shared_ptr<const StringMasks>> strings_;  // by the lexer's state
  size_t mask_bytes_ = 0;
};

}  // namespace verge::engine::grammar
