// The storage types whose elements come from a short list of integers (Q3_K and all IQ types with super-blocks),
// spelled out: one form from which both f32 values and packed weights are made.
#pragma once

#include <cstdint>
#include <span>

#include "engine/formats/quantized.h"

namespace verge::engine {

// x[j] = d * factor * scales[j / 16] * values[j]: every product is exact in f32.
struct SpelledBlock {
  uint16_t d;  // f16
  int8_t scales[kSuperBlock / 16];
  int8_t values[kSuperBlock];
};

void spell(const BlockQ3_K& block, SpelledBlock* to);
void spell(const BlockIQ1_S& block, SpelledBlock* to);
void spell(const BlockIQ1_M& block, SpelledBlock* to);
void spell(const BlockIQ2_XXS& block, SpelledBlock* to);
void spell(const BlockIQ2_XS& block, SpelledBlock* to);
void spell(const BlockIQ2_S& block, SpelledBlock* to);
void spell(const BlockIQ3_XXS& block, SpelledBlock* to);
void spell(const BlockIQ3_S& block, SpelledBlock* to);
void spell(const BlockIQ4_XS& block, SpelledBlock* to);

template <class Block>
concept CodebookBlock = requires(const Block& block, SpelledBlock* to) { spell(block, to); };

// The values that a type's elements can have (at most 16, ascending), and the factor of its scales.
struct Codebook {
  std::span<const int8_t> values;
  float factor;
};
template <CodebookBlock Block>
const Codebook& codebook_of();

}  // namespace verge::engine
