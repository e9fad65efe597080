// Arbitrary bytes as a JSON Schema, a regular expression or a GBNF grammar. What compiles has a way on wherever its
// masks lead (promises GR1 and GR2 of engine/grammar/grammar.h), and what a schema leads to is JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/grammar/grammar.h"
#include "support/json.h"
#include "support/random.h"
#include "tests/engine/grammar/byte_tokenizer.h"

namespace {

using namespace verge;
namespace grammar = verge::engine::grammar;

constexpr int kTokens = 400;
constexpr std::string_view kClosing = "\"}],:";  // so that most walks end

// False: it has not ended within so many tokens.
bool walk(grammar::Grammar& g, const grammar::TokenBytes& tokens, uint64_t seed, std::string& text) {
  grammar::Matcher at = g.start(false);
  for (uint64_t i = 0; i < kTokens; ++i) {
    const auto mask = g.mask(at);
    std::vector<int32_t> all, closing;
    for (int32_t id = 0; id < tokens.rows(); ++id) {
      if (!grammar::admits(*mask, id)) continue;
      all.push_back(id);
      const std::string_view bytes = tokens.bytes(id);
      const bool closes = bytes.size() == 1 && kClosing.find(bytes[0]) != kClosing.npos;
      if (tokens.is_stop(id) || closes) closing.push_back(id);
    }
    if (all.empty()) abort();
    if (g.complete(at) != grammar::admits(*mask, 0)) abort();
    const uint64_t draw = random_at(seed, i);
    const bool close = !closing.empty() && draw % 100 < (i < 100 ? 40 : 95);
    const std::vector<int32_t>& from = close ? closing : all;
    const int32_t id = from[(draw >> 8) % from.size()];
    if (!g.advance(at, id)) abort();
    if (tokens.is_stop(id)) return true;
    text += tokens.bytes(id);
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const testing::ByteTokenizer tokenizer({"\": ", "\", \"", "{\"", "\"}", "true", "  ", "10", "é"});
  static const grammar::TokenBytes tokens(tokenizer, {0}, tokenizer.vocabulary());
  constexpr grammar::SourceKind kKinds[] = {grammar::SourceKind::JsonSchema,
                                            grammar::SourceKind::Regex, grammar::SourceKind::Gbnf};
  const auto kind = kKinds[data[0] % 3];
  const std::string_view source(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto g = grammar::Grammar::compile(kind, source, tokens);
  if (!g) {
    if (g.error().message.empty()) abort();
    return 0;
  }
  std::string text;
  const bool ended = walk(**g, tokens, data[1], text);
  if (ended && kind == grammar::SourceKind::JsonSchema && !parse_json(text, 200)) abort();
  return 0;
}
