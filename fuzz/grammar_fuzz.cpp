// Arbitrary bytes as a schema (first byte even) or an expression: compiled or refused with a reason; then a walk along its
// masks, in which a token that is admitted must be taken and some way on must always be.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/grammar/grammar.h"
#include "tests/engine/grammar/byte_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge;
  using namespace verge::engine::grammar;
  static const testing::ByteTokenizer tokenizer({"{\"", "\":", "\",\"", "\"}", "true", "12", "ab"});
  static const TokenBytes tokens(tokenizer, {0}, tokenizer.vocabulary());
  if (size < 2) return 0;
  const auto kind = data[0] % 2 == 0 ? SourceKind::JsonSchema : SourceKind::Regex;
  auto made = Grammar::compile(kind, {reinterpret_cast<const char*>(data) + 1, size - 1}, tokens);
  if (!made) {
    if (made.error().message.empty()) abort();
    return 0;
  }
  Matcher at = (*made)->start(false);
  for (size_t i = 0; i < 40; ++i) {
    const auto mask = (*made)->mask(at);
    const auto first = static_cast<int32_t>(data[1 + i % (size - 1)]);
    int32_t chosen = -1;
    for (int32_t k = 0; k < tokens.rows() && chosen < 0; ++k) {
      const int32_t id = (first + k) % tokens.rows();
      if (admits(*mask, id)) chosen = id;
    }
    if (chosen < 0) abort();
    if (!(*made)->advance(at, chosen)) abort();
    if (tokens.is_stop(chosen)) break;
  }
  return 0;
}
