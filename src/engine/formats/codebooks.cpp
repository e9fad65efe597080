// How each type packs indices, signs and scales. Source: ggml-quants.c of ggml and quants.py of its Python package.
#include "engine/formats/codebooks.h"

#include <bit>
#include <cstring>

#include "engine/formats/codebook_grids.h"

namespace verge::engine {
namespace {

// Seven signs are stored; the eighth makes their number even.
uint8_t eight_signs(uint32_t seven) { return static_cast<uint8_t>(seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7); }

int8_t signed_value(int8_t value, int negative) { return static_cast<int8_t>(negative ? -value : value); }

void put_iq2(uint16_t entry, uint8_t signs, int8_t* values) {
  // An entry has no digit 3.
  for (int j = 0; j < 8; ++j) values[j] = signed_value(grids::kIq2Digits[(entry >> (2 * j)) & 3], (signs >> j) & 1);
}

void put_iq3_xxs(uint16_t entry, int signs, int8_t* values) {
  for (int j = 0; j < 4; ++j) values[j] = signed_value(grids::kIq3XxsDigits[(entry >> (4 * j)) & 7], (signs >> j) & 1);
}

void put_iq3_s(uint16_t entry, int signs, int8_t* values) {
  for (int j = 0; j < 4; ++j) values[j] = signed_value(static_cast<int8_t>(2 * ((entry >> (4 * j)) & 7) + 1), (signs >> j) & 1);
}

// Eight times the element: a digit -1, 0, 1, and an eighth more or less.
void put_iq1(uint16_t entry, bool less, int8_t* values) {
  for (int j = 0; j < 8; ++j) values[j] = static_cast<int8_t>(8 * (((entry >> (2 * j)) & 3) - 1) + (less ? -1 : 1));
}

int8_t odd(uint32_t scale) { return static_cast<int8_t>(2 * scale + 1); }

// Two nibbles of scales a byte, one nibble for `Each` sub-blocks of 16.
template <int Each>
void odd_nibble_scales(const uint8_t* scales, int8_t* to) {
  for (int s = 0; s < 16; ++s) {
    const int nibble = s / Each;
    to[s] = odd((static_cast<uint32_t>(scales[nibble / 2]) >> (nibble % 2 * 4)) & 15);
  }
}

void same_scale(int8_t scale, int sub_block, SpelledBlock* to) { to->scales[2 * sub_block] = to->scales[2 * sub_block + 1] = scale; }

constexpr int8_t kQ3Values[] = {-4, -3, -2, -1, 0, 1, 2, 3};
constexpr int8_t kIq1Values[] = {-9, -7, -1, 1, 7, 9};
constexpr int8_t kIq2Values[] = {-43, -25, -8, 8, 25, 43};
constexpr int8_t kIq3XxsValues[] = {-62, -52, -44, -36, -28, -20, -12, -4, 4, 12, 20, 28, 36, 44, 52, 62};
constexpr int8_t kIq3SValues[] = {-15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15};

constexpr Codebook kQ3{kQ3Values, 1}, kIq1{kIq1Values, 0.125f}, kIq2{kIq2Values, 0.125f};
constexpr Codebook kIq3Xxs{kIq3XxsValues, 0.25f}, kIq3S{kIq3SValues, 1}, kIq4{kIq4Values, 1};

}  // namespace

template <> const Codebook& codebook_of<BlockQ3_K>() { return kQ3; }
template <> const Codebook& codebook_of<BlockIQ1_S>() { return kIq1; }
template <> const Codebook& codebook_of<BlockIQ1_M>() { return kIq1; }
template <> const Codebook& codebook_of<BlockIQ2_XXS>() { return kIq2; }
template <> const Codebook& codebook_of<BlockIQ2_XS>() { return kIq2; }
template <> const Codebook& codebook_of<BlockIQ2_S>() { return kIq2; }
template <> const Codebook& codebook_of<BlockIQ3_XXS>() { return kIq3Xxs; }
template <> const Codebook& codebook_of<BlockIQ3_S>() { return kIq3S; }
template <> const Codebook& codebook_of<BlockIQ4_XS>() { return kIq4; }

void spell(const BlockQ3_K& block, SpelledBlock* to) {
  to->d = block.d;
  uint8_t codes[kSuperBlock];
  unpack_2_bits(block.qs, codes);
  for (int j = 0; j < kSuperBlock; ++j) to->values[j] = static_cast<int8_t>(codes[j] - ((block.hmask[j % 32] >> (j / 32)) & 1 ? 0 : 4));
  // Bytes 0 … 7: low nibbles of scales 0 … 7, then of 8 … 15. Bytes 8 … 11: bits 4, 5 of scales s, s + 4, s + 8, s + 12.
  for (int s = 0; s < 16; ++s) {
    const int low = (block.scales[s % 8] >> (s / 8 * 4)) & 15, high = (block.scales[8 + s % 4] >> (s / 4 * 2)) & 3;
    to->scales[s] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

void spell(const BlockIQ1_S& block, SpelledBlock* to) {
  to->d = block.d;
  for (int b = 0; b < 8; ++b) {
    const uint32_t qh = block.qh[b];
    for (int l = 0; l < 4; ++l) {
      const uint32_t index = block.qs[4 * b + l] | ((qh >> (3 * l)) & 7) << 8;
      put_iq1(grids::kIq1[index], qh & 0x8000, to->values + 32 * b + 8 * l);
    }
    same_scale(odd((qh >> 12) & 7), b, to);
  }
}

void spell(const BlockIQ1_M& block, SpelledBlock* to) {
  const uint16_t* scales = block.scales;
  to->d = static_cast<uint16_t>((scales[0] >> 12) | (scales[1] >> 12 << 4) | (scales[2] >> 12 << 8) | (scales[3] >> 12 << 12));
  for (int i = 0; i < 32; ++i) {
    const uint32_t high = static_cast<uint32_t>(block.qh[i / 2]) >> (i % 2 * 4);
    put_iq1(grids::kIq1[block.qs[i] | (high & 7) << 8], high & 8, to->values + 8 * i);
  }
  for (int s = 0; s < 16; ++s) to->scales[s] = odd((static_cast<uint32_t>(scales[s / 4]) >> (s % 4 * 3)) & 7);
}

void spell(const BlockIQ2_XXS& block, SpelledBlock* to) {
  to->d = block.d;
  for (int b = 0; b < 8; ++b) {
    const uint16_t* qs = block.qs + 4 * b;
    const uint32_t more = qs[2] | static_cast<uint32_t>(qs[3]) << 16;
    for (int l = 0; l < 4; ++l) {
      const int index = (qs[l / 2] >> (l % 2 * 8)) & 255;
      put_iq2(grids::kIq2Xxs[index], eight_signs((more >> (7 * l)) & 127), to->values + 32 * b + 8 * l);
    }
    same_scale(odd(more >> 28), b, to);
  }
}

void spell(const BlockIQ2_XS& block, SpelledBlock* to) {
  to->d = block.d;
  for (int i = 0; i < 32; ++i) put_iq2(grids::kIq2Xs[block.qs[i] & 511], eight_signs(block.qs[i] >> 9), to->values + 8 * i);
  odd_nibble_scales<1>(block.scales, to->scales);
}

void spell(const BlockIQ2_S& block, SpelledBlock* to) {
  to->d = block.d;
  for (int i = 0; i < 32; ++i) {
    const int index = block.qs[i] | ((block.qh[i / 4] >> (i % 4 * 2)) & 3) << 8;
    put_iq2(grids::kIq2S[index], block.signs[i], to->values + 8 * i);
  }
  odd_nibble_scales<1>(block.scales, to->scales);
}

void spell(const BlockIQ3_XXS& block, SpelledBlock* to) {
  to->d = block.d;
  for (int b = 0; b < 8; ++b) {
    uint32_t more;
    std::memcpy(&more, block.scales_and_signs + 4 * b, 4);
    for (int l = 0; l < 8; ++l) {
      const int signs = eight_signs((more >> (7 * (l / 2))) & 127) >> (l % 2 * 4);
      put_iq3_xxs(grids::kIq3Xxs[block.qs[8 * b + l]], signs, to->values + 32 * b + 4 * l);
    }
    same_scale(odd(more >> 28), b, to);
  }
}

void spell(const BlockIQ3_S& block, SpelledBlock* to) {
  to->d = block.d;
  for (int i = 0; i < 64; ++i) {
    const int index = block.qs[i] | ((block.qh[i / 8] >> (i % 8)) & 1) << 8;
    put_iq3_s(grids::kIq3S[index], block.signs[i / 2] >> (i % 2 * 4), to->values + 4 * i);
  }
  odd_nibble_scales<2>(block.scales, to->scales);
}

void spell(const BlockIQ4_XS& block, SpelledBlock* to) {
  to->d = block.d;
  for (int b = 0; b < 8; ++b) {
    for (int l = 0; l < 16; ++l) {
      const int both = block.qs[16 * b + l];
      to->values[32 * b + l] = kIq4Values[both & 15];
      to->values[32 * b + 16 + l] = kIq4Values[both >> 4];
    }
    const int low = (block.scales_l[b / 2] >> (b % 2 * 4)) & 15, high = (block.scales_h >> (2 * b)) & 3;
    same_scale(static_cast<int8_t>((low | high << 4) - 32), b, to);
  }
}

}  // namespace verge::engine
