// How packed weights and prepared activations lie in memory. Plain constants: the kernels include this.
//
// Weights. Sixteen output rows form a group, and row r of a group is always lane r (32 bits) of a vector,
// so a product needs no sum across lanes and any instruction set can read the same bytes: one
// AVX-512 register, two of AVX2, four of SSE2. A group is contiguous; rows past the matrix's end are zero.
//   F32            [in][16] f32
//   F16            [in][16] f16
//   BF16           [in / 2, rounded up][16][2] bf16, a missing last element zero
//   integer types  chunks of up to eight 32-element blocks: first the codes of all its blocks, then their scales;
//                  a chunk starts on a cache line. k runs in steps of four codes, step s of a block = elements 4s … 4s + 3,
//                  and [16][4] codes of one step fill one vector of 64 bytes.
//     4 bits   per block four vectors; vector v has step 2v in its low nibbles, step 2v + 1 in its high ones
//     5 bits   the same and one vector more: bit s of a byte is the fifth bit of step s
//     6 bits   the same as 4 bits and two vectors more: bits 2j, 2j + 1 of vector v belong to step 4v + j
//     8 bits   eight vectors, code + 128
//     2 bits   per block two vectors: bits 2j, 2j + 1 of vector v belong to step 4v + j
//     3 bits   the same and one vector more: bit s of a byte is the third bit of step s
//   scales     Q4_0 Q5_0 Q8_0: per block d[16] f16.  Q4_1 Q5_1: per block d[16], m[16] f16.
//              Q4_K Q5_K: per chunk d[16], -dmin[16] f16, then scale[8][16], min[8][16] u8.
//              Q6_K: per chunk d[16] f16, then scale[16][16] i8.
//              Q2_K (and TQ1_0, TQ2_0): per chunk d[16], dmin[16] f16, then [16][16] u8, scale low nibble, min high one.
//              Table3, Table4: codes of 3 and 4 bits are indices into a table. Per chunk d[16] f16, a factor f32 of
//              all d, 12 bytes unused, the table u8[16] (value + 64 or + 128), then scale i8: [16][16] or [8][16].
//              IQ4_NL: as Q4_0.  MXFP4: per block d[16] bf16, which holds every power of two. Their tables are below.
//
// Activations. Up to eight rows of a step (the columns of the product) form a panel, interleaved so
// that a kernel walks one pointer. For integer weights they are quantised to 8 bits per block of 32, for all types:
// finer than the blocks of 256 which llama.cpp uses for the K-quants. A block of a panel of C columns is
//   codes i8 [C][32], d f32 [C], d·sum f32 [C], -8·sum i32 [C], -8·(sum of the first 16) i32 [C], -8·(of the last 16) i32 [C].
// The sums carry the offset of symmetric codes: Σ(q - 8)·a = Σq·a - 8·Σa, exactly, by starting the integer sum there.
//   F32 panels (F32 and F16 weights) are f32 [in][C], BF16 panels are bf16 [in / 2, rounded up][C][2].
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace verge::engine::cpu {

enum class Layout : uint8_t { F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, Q2_K, Table3, Table4, IQ4_NL, MXFP4 };
inline constexpr int kLayouts = 16;

inline constexpr int kGroupRows = 16;
inline constexpr int kBlockElements = 32;
inline constexpr int kChunkBlocks = 8;
inline constexpr int kLine = 64;

// What is added to a table's values. Codes of Table3 stay below 128, where AVX2 multiplies twice as fast.
inline constexpr int kTable3Offset = 64, kTable4Offset = 128;
inline constexpr int kTableHead = 64;  // bytes before the scales
inline constexpr uint8_t kIq4Codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
inline constexpr uint8_t kMxfp4Codes[16] = {128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116};

// Panel widths that kernels exist for; a panel with fewer columns than its width has unused ones.
inline constexpr int kPanelWidths[] = {1, 2, 3, 4, 6, 8};
inline constexpr int kWidths = 6;
inline constexpr int kPanelColumns = 8;
inline constexpr int kColumnBytes = 32 + 5 * 4;  // one column's share of a block
// Groups that one call of a kernel takes at most: enough to hide the latency of a chain with one column.
inline constexpr int kCallGroups = 4;

enum class PanelKind : uint8_t { Int8, F32, BF16 };
inline constexpr int kPanelKinds = 3;

constexpr PanelKind panel_kind(Layout layout) {
  return layout == Layout::F32 || layout == Layout::F16 ? PanelKind::F32 : layout == Layout::BF16 ? PanelKind::BF16 : PanelKind::Int8;
}

// Bytes of a block's codes for all 16 rows.
constexpr size_t code_bytes(Layout layout) {
  switch (layout) {
    case Layout::Q2_K: return 128;
    case Layout::Table3: return 192;
    case Layout::Q4_0: case Layout::Q4_1: case Layout::Q4_K: case Layout::Table4: case Layout::IQ4_NL: case Layout::MXFP4: return 256;
    case Layout::Q5_0: case Layout::Q5_1: case Layout::Q5_K: return 320;
    case Layout::Q6_K: return 384;
    default: return 512;
  }
}

// Bytes of the scales of a chunk of `blocks` blocks.
constexpr size_t scale_bytes(Layout layout, int64_t blocks) {
  switch (layout) {
    case Layout::Q4_1: case Layout::Q5_1: return static_cast<size_t>(blocks) * 64;
    case Layout::Q4_K: case Layout::Q5_K: return 2 * 32 + 2 * 8 * 16;
    case Layout::Q6_K: return 32 + 16 * 16;
    case Layout::Q2_K: return 2 * 32 + 16 * 16;
    case Layout::Table3: return kTableHead + 16 * 16;
    case Layout::Table4: return kTableHead + 8 * 16;
    default: return static_cast<size_t>(blocks) * 32;
  }
}

constexpr size_t whole_lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

constexpr size_t chunk_bytes(Layout layout, int64_t blocks) {
  return whole_lines(static_cast<size_t>(blocks) * code_bytes(layout) + scale_bytes(layout, blocks));
}

constexpr size_t group_bytes(Layout layout, int64_t in) {
  if (layout == Layout::F32) return static_cast<size_t>(in) * 64;
  if (layout == Layout::F16) return whole_lines(static_cast<size_t>(in) * 32);
  if (layout == Layout::BF16) return static_cast<size_t>((in + 1) / 2) * 64;
  const int64_t blocks = in / kBlockElements, rest = blocks % kChunkBlocks;
  return static_cast<size_t>(blocks / kChunkBlocks) * chunk_bytes(layout, kChunkBlocks) + (rest ? chunk_bytes(layout, rest) : 0);
}

constexpr size_t panel_bytes(PanelKind kind, int64_t in, int width) {
  const auto columns = static_cast<size_t>(width);
  if (kind == PanelKind::F32) return static_cast<size_t>(in) * columns * 4;
  if (kind == PanelKind::BF16) return static_cast<size_t>((in + 1) / 2) * columns * 4;
  return static_cast<size_t>(in / kBlockElements) * columns * kColumnBytes;
}

}  // namespace verge::engine::cpu
