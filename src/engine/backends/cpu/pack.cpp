// Repacking, from a file's rows of blocks to groups of 16 interleaved rows. Each type has one function that
// unpacks a block's codes to bytes; the rest is shared. Zeroed memory stands for rows past the matrix's end.
#include "engine/backends/cpu/pack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "engine/backends/cpu/threads.h"
#include "engine/formats/codebooks.h"
#include "engine/formats/quantized.h"

namespace verge::engine::cpu {
namespace {

std::optional<Layout> layout_of(DType type, Precision precision) {
  if (precision == Precision::F32) {
    if (type == DType::I8 || type == DType::I16 || type == DType::I32 || type == DType::I64) return std::nullopt;
    return Layout::F32;
  }
  switch (type) {
    case DType::F32: return Layout::F32;
    case DType::F16: return Layout::F16;
    case DType::BF16: return Layout::BF16;
    case DType::Q4_0: return Layout::Q4_0;
    case DType::Q4_1: return Layout::Q4_1;
    case DType::Q5_0: return Layout::Q5_0;
    case DType::Q5_1: return Layout::Q5_1;
    case DType::Q8_0: return Layout::Q8_0;
    case DType::Q4_K: return Layout::Q4_K;
    case DType::Q5_K: return Layout::Q5_K;
    case DType::Q6_K: return Layout::Q6_K;
    case DType::Q2_K: case DType::TQ1_0: case DType::TQ2_0: return Layout::Q2_K;
    case DType::Q3_K: case DType::IQ1_S: case DType::IQ1_M: case DType::IQ2_XXS: case DType::IQ2_XS: case DType::IQ2_S: return Layout::Table3;
    case DType::IQ3_XXS: case DType::IQ3_S: case DType::IQ4_XS: return Layout::Table4;
    case DType::IQ4_NL: return Layout::IQ4_NL;
    case DType::MXFP4: return Layout::MXFP4;
    default: return std::nullopt;
  }
}

// The part of one row that falls into a chunk: codes as bytes, scales as in the file.
struct RowChunk {
  alignas(64) uint8_t codes[kChunkBlocks * kBlockElements];
  uint16_t d[kChunkBlocks], m[kChunkBlocks];           // Q4_0 … Q8_0: per block. K-quants: [0] only
  uint8_t scales[2 * kChunkBlocks], mins[kChunkBlocks];  // K-quants
  Codebook book;                                         // tables
};

void unpack_nibbles(const uint8_t* qs, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) codes[j] = qs[j] & 15;
  for (int j = 0; j < 16; ++j) codes[j + 16] = qs[j] >> 4;
}

void add_fifth_bits(const uint8_t* qh, uint8_t* codes) {
  uint32_t bits;
  std::memcpy(&bits, qh, 4);
  for (int j = 0; j < 32; ++j) codes[j] = static_cast<uint8_t>(codes[j] | (((bits >> j) & 1) << 4));
}

void unpack_block(const BlockQ4_0& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  row.d[b] = block.d;
}

void unpack_block(const BlockQ4_1& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  row.d[b] = block.d;
  row.m[b] = block.m;
}

void unpack_block(const BlockQ5_0& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  add_fifth_bits(block.qh, row.codes + b * kBlockElements);
  row.d[b] = block.d;
}

void unpack_block(const BlockQ5_1& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  add_fifth_bits(block.qh, row.codes + b * kBlockElements);
  row.d[b] = block.d;
  row.m[b] = block.m;
}

void unpack_block(const BlockQ8_0& block, int b, RowChunk& row) {
  for (int j = 0; j < 32; ++j) row.codes[b * kBlockElements + j] = static_cast<uint8_t>(block.qs[j]) ^ 0x80;
  row.d[b] = block.d;
}

template <class Block>
void unpack_k_scales(const Block& block, RowChunk& row) {
  row.d[0] = block.d;
  row.m[0] = block.dmin ^ 0x8000;  // the kernels add minima
  for (int s = 0; s < 8; ++s) scale_min_k4(s, block.scales, &row.scales[s], &row.mins[s]);
}

void unpack_block(const BlockQ4_K& block, int, RowChunk& row) {
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* qs = block.qs + 32 * pair;
    for (int l = 0; l < 32; ++l) row.codes[64 * pair + l] = qs[l] & 15;
    for (int l = 0; l < 32; ++l) row.codes[64 * pair + 32 + l] = qs[l] >> 4;
  }
  unpack_k_scales(block, row);
}

void unpack_block(const BlockQ5_K& block, int, RowChunk& row) {
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* qs = block.qs + 32 * pair;
    uint8_t* codes = row.codes + 64 * pair;
    for (int l = 0; l < 32; ++l) codes[l] = static_cast<uint8_t>((qs[l] & 15) | (((block.qh[l] >> (2 * pair)) & 1) << 4));
    for (int l = 0; l < 32; ++l) codes[32 + l] = static_cast<uint8_t>((qs[l] >> 4) | (((block.qh[l] >> (2 * pair + 1)) & 1) << 4));
  }
  unpack_k_scales(block, row);
}

void unpack_block(const BlockQ6_K& block, int, RowChunk& row) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t *ql = block.ql + 64 * half, *qh = block.qh + 32 * half;
    uint8_t* codes = row.codes + 128 * half;
    for (int l = 0; l < 32; ++l) codes[l] = static_cast<uint8_t>((ql[l] & 15) | ((qh[l] & 3) << 4));
    for (int l = 0; l < 32; ++l) codes[32 + l] = static_cast<uint8_t>((ql[32 + l] & 15) | (((qh[l] >> 2) & 3) << 4));
    for (int l = 0; l < 32; ++l) codes[64 + l] = static_cast<uint8_t>((ql[l] >> 4) | (((qh[l] >> 4) & 3) << 4));
    for (int l = 0; l < 32; ++l) codes[96 + l] = static_cast<uint8_t>((ql[32 + l] >> 4) | ((qh[l] >> 6) << 4));
  }
  row.d[0] = block.d;
  std::memcpy(row.scales, block.scales, 16);
}

void unpack_block(const BlockQ2_K& block, int, RowChunk& row) {
  unpack_2_bits(block.qs, row.codes);
  row.d[0] = block.d;
  row.m[0] = block.dmin;
  std::memcpy(row.scales, block.scales, 16);
}

// d * (q - 1) = d * 1 * q - d * 1.
void set_ternary_scales(uint16_t d, RowChunk& row) {
  row.d[0] = row.m[0] = d;
  std::memset(row.scales, 0x11, 16);
}

void unpack_block(const BlockTQ1_0& block, int, RowChunk& row) {
  unpack_ternary(block, row.codes);
  set_ternary_scales(block.d, row);
}

void unpack_block(const BlockTQ2_0& block, int, RowChunk& row) {
  unpack_2_bits(block.qs, row.codes);
  set_ternary_scales(block.d, row);
}

void unpack_block(const BlockIQ4_NL& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  row.d[b] = block.d;
}

void unpack_block(const BlockMXFP4& block, int b, RowChunk& row) {
  unpack_nibbles(block.qs, row.codes + b * kBlockElements);
  row.d[b] = e8m0_half_to_bf16(block.e);
}

// Value + 128 -> its place in the codebook.
std::array<uint8_t, 256> places(std::span<const int8_t> values) {
  std::array<uint8_t, 256> to{};
  for (size_t i = 0; i < values.size(); ++i) to[static_cast<size_t>(values[i] + 128)] = static_cast<uint8_t>(i);
  return to;
}

template <CodebookBlock Block>
void unpack_block(const Block& block, int, RowChunk& row) {
  static const std::array<uint8_t, 256> kPlaces = places(codebook_of<Block>().values);
  SpelledBlock spelled;
  spell(block, &spelled);
  for (size_t j = 0; j < kSuperBlock; ++j) row.codes[j] = kPlaces[static_cast<size_t>(spelled.values[j] + 128)];
  row.d[0] = spelled.d;
  std::memcpy(row.scales, spelled.scales, 16);
  row.book = codebook_of<Block>();
}

// Four codes at a time, as one 32-bit lane.
void write_codes(const uint8_t* codes, size_t bytes, int lane, uint8_t* to) {
  uint32_t steps[8];
  std::memcpy(steps, codes, sizeof(steps));
  const auto put = [&](size_t vector, uint32_t value) { std::memcpy(to + vector * 64 + static_cast<size_t>(lane) * 4, &value, 4); };
  if (bytes == 512) {
    for (size_t s = 0; s < 8; ++s) put(s, steps[s]);
    return;
  }
  if (bytes == 128 || bytes == 192) {
    for (size_t v = 0; v < 2; ++v) {
      uint32_t low = 0;
      for (size_t j = 0; j < 4; ++j) low |= (steps[4 * v + j] & 0x03030303) << (2 * j);
      put(v, low);
    }
    uint32_t third = 0;
    for (int s = 0; s < 8; ++s) third |= ((steps[s] >> 2) & 0x01010101) << s;
    if (bytes == 192) put(2, third);
    return;
  }
  for (size_t v = 0; v < 4; ++v) put(v, (steps[2 * v] & 0x0f0f0f0f) | ((steps[2 * v + 1] & 0x0f0f0f0f) << 4));
  if (bytes == 320) {
    uint32_t high = 0;
    for (int s = 0; s < 8; ++s) high |= ((steps[s] >> 4) & 0x01010101) << s;
    put(4, high);
  }
  if (bytes == 384) {
    for (size_t v = 0; v < 2; ++v) {
      uint32_t high = 0;
      for (size_t j = 0; j < 4; ++j) high |= ((steps[4 * v + j] >> 4) & 0x03030303) << (2 * j);
      put(4 + v, high);
    }
  }
}

void write_scales(Layout layout, const RowChunk& row, int blocks, int lane, uint8_t* to) {
  const auto half = [&](size_t offset, uint16_t value) { std::memcpy(to + offset + static_cast<size_t>(lane) * 2, &value, 2); };
  const auto count = static_cast<size_t>(blocks);
  switch (layout) {
    case Layout::Q4_1: case Layout::Q5_1:
      for (size_t b = 0; b < count; ++b) half(b * 64, row.d[b]), half(b * 64 + 32, row.m[b]);
      break;
    case Layout::Q4_K: case Layout::Q5_K:
      half(0, row.d[0]);
      half(32, row.m[0]);
      for (int s = 0; s < 8; ++s) to[64 + s * 16 + lane] = row.scales[s], to[192 + s * 16 + lane] = row.mins[s];
      break;
    case Layout::Q6_K:
      half(0, row.d[0]);
      for (int s = 0; s < 16; ++s) to[32 + s * 16 + lane] = row.scales[s];
      break;
    case Layout::Q2_K:
      half(0, row.d[0]);
      half(32, row.m[0]);
      for (int s = 0; s < 16; ++s) to[64 + s * 16 + lane] = row.scales[s];
      break;
    case Layout::Table3: case Layout::Table4: {
      const bool halves = layout == Layout::Table3;
      half(0, row.d[0]);
      std::memcpy(to + 32, &row.book.factor, 4);  // every lane writes the same
      for (size_t i = 0; i < row.book.values.size(); ++i) {
        to[48 + i] = static_cast<uint8_t>(row.book.values[i] + (halves ? kTable3Offset : kTable4Offset));
      }
      for (int s = 0; s < (halves ? 16 : 8); ++s) to[kTableHead + s * 16 + lane] = row.scales[halves ? s : 2 * s];
      break;
    }
    default:
      for (size_t b = 0; b < count; ++b) half(b * 32, row.d[b]);
  }
}

struct Source {
  const std::byte* data;
  int64_t rows, in;
};

// Packs one group; `to` is zeroed.
template <class Block, int Elements>
void pack_group(const Source& source, Layout layout, int64_t group, uint8_t* to) {
  constexpr int kPerChunk = kChunkBlocks * kBlockElements / Elements;  // file blocks of a chunk
  const int64_t row_blocks = source.in / Elements, first = group * kGroupRows;
  const int lanes = static_cast<int>(std::min<int64_t>(kGroupRows, source.rows - first));
  const size_t bytes = code_bytes(layout);
  RowChunk row;
  for (int64_t done = 0; done < row_blocks; done += kPerChunk) {
    const int count = static_cast<int>(std::min<int64_t>(kPerChunk, row_blocks - done)), blocks = count * (Elements / kBlockElements);
    for (int lane = 0; lane < lanes; ++lane) {
      const std::byte* from = source.data + static_cast<size_t>((first + lane) * row_blocks + done) * sizeof(Block);
      for (int b = 0; b < count; ++b) {
        Block block;
        std::memcpy(&block, from + static_cast<size_t>(b) * sizeof(Block), sizeof(Block));
        unpack_block(block, b, row);
      }
      for (int b = 0; b < blocks; ++b) write_codes(row.codes + b * kBlockElements, bytes, lane, to + static_cast<size_t>(b) * bytes);
      write_scales(layout, row, blocks, lane, to + static_cast<size_t>(blocks) * bytes);
    }
    to += chunk_bytes(layout, blocks);
  }
}

// F16 and BF16 keep their bits. A step is one F16 or two BF16 of a row, the last of an odd row half empty.
template <class Step>
void pack_halves(const Source& source, int64_t group, uint8_t* to) {
  const int64_t first = group * kGroupRows, lanes = std::min<int64_t>(kGroupRows, source.rows - first);
  const int64_t bytes = source.in * 2, step = static_cast<int64_t>(sizeof(Step));
  // A few lines of each row at a time: all sixteen streams and what is written stay in the nearest cache.
  constexpr int64_t kPiece = 128;
  for (int64_t begin = 0; begin < bytes; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, bytes);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const std::byte* from = source.data + static_cast<size_t>((first + lane) * bytes);
      uint8_t* place = to + (begin / step * kGroupRows + lane) * step;
      int64_t at = begin;
      for (; at + step <= end; at += step, place += kGroupRows * step) {
        Step value;
        std::memcpy(&value, from + at, sizeof(value));
        std::memcpy(place, &value, sizeof(value));
      }
      if (at < end) std::memcpy(place, from + at, static_cast<size_t>(end - at));
    }
  }
}

void pack_f32(const TensorView& weight, int64_t in, int64_t rows, int64_t group, uint8_t* to) {
  const int64_t first = group * kGroupRows, lanes = std::min<int64_t>(kGroupRows, rows - first);
  constexpr int64_t kPiece = 256;  // a multiple of every block
  float values[kPiece];
  for (int64_t k0 = 0; k0 < in; k0 += kPiece) {
    const int64_t count = std::min(kPiece, in - k0);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      dequantize(weight, (first + lane) * in + k0, count, values);
      for (int64_t k = 0; k < count; ++k) std::memcpy(to + ((k0 + k) * kGroupRows + lane) * 4, &values[k], 4);
    }
  }
}

void pack_group_of(const TensorView& weight, const PackedMatrix& matrix, int64_t group, uint8_t* to) {
  const Source source{weight.data, matrix.out, matrix.in};
  switch (matrix.layout) {
    case Layout::F32: return pack_f32(weight, matrix.in, matrix.out, group, to);
    case Layout::F16: return pack_halves<uint16_t>(source, group, to);
    case Layout::BF16: return pack_halves<uint32_t>(source, group, to);
    default: break;
  }
  const auto pack = [&]<class Block, int Elements>() { pack_group<Block, Elements>(source, matrix.layout, group, to); };
  switch (weight.type) {
    case DType::Q4_0: return pack.operator()<BlockQ4_0, kBlock>();
    case DType::Q4_1: return pack.operator()<BlockQ4_1, kBlock>();
    case DType::Q5_0: return pack.operator()<BlockQ5_0, kBlock>();
    case DType::Q5_1: return pack.operator()<BlockQ5_1, kBlock>();
    case DType::Q8_0: return pack.operator()<BlockQ8_0, kBlock>();
    case DType::Q4_K: return pack.operator()<BlockQ4_K, kSuperBlock>();
    case DType::Q5_K: return pack.operator()<BlockQ5_K, kSuperBlock>();
    case DType::Q6_K: return pack.operator()<BlockQ6_K, kSuperBlock>();
    case DType::Q2_K: return pack.operator()<BlockQ2_K, kSuperBlock>();
    case DType::Q3_K: return pack.operator()<BlockQ3_K, kSuperBlock>();
    case DType::IQ1_S: return pack.operator()<BlockIQ1_S, kSuperBlock>();
    case DType::IQ1_M: return pack.operator()<BlockIQ1_M, kSuperBlock>();
    case DType::IQ2_XXS: return pack.operator()<BlockIQ2_XXS, kSuperBlock>();
    case DType::IQ2_XS: return pack.operator()<BlockIQ2_XS, kSuperBlock>();
    case DType::IQ2_S: return pack.operator()<BlockIQ2_S, kSuperBlock>();
    case DType::IQ3_XXS: return pack.operator()<BlockIQ3_XXS, kSuperBlock>();
    case DType::IQ3_S: return pack.operator()<BlockIQ3_S, kSuperBlock>();
    case DType::IQ4_NL: return pack.operator()<BlockIQ4_NL, kBlock>();
    case DType::IQ4_XS: return pack.operator()<BlockIQ4_XS, kSuperBlock>();
    case DType::TQ1_0: return pack.operator()<BlockTQ1_0, kSuperBlock>();
    case DType::TQ2_0: return pack.operator()<BlockTQ2_0, kSuperBlock>();
    case DType::MXFP4: return pack.operator()<BlockMXFP4, kBlock>();
    default: return;  // layout_of() knows no layout for it
  }
}

int64_t groups_of(int64_t out) { return (out + kGroupRows - 1) / kGroupRows; }

}  // namespace

Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision precision, Arena& arena, Threads& threads) {
  const DTypeInfo& type = info(weight.type);
  const int64_t out = weight.rows(), in = weight.columns();
  const std::optional<Layout> layout = layout_of(weight.type, precision);
  if (!layout) return fail(Code::LoadFailed, "{}: {} is no type for a weight matrix", to_string(weight), type.name);
  if (out <= 0 || in <= 0) return fail(Code::LoadFailed, "{}: empty", to_string(weight));
  if (in % type.block != 0) {
    return fail(Code::LoadFailed, "{}: rows of {} elements are no multiple of the type's block of {}", to_string(weight), in, type.block);
  }
  size_t needed;
  if (__builtin_mul_overflow(static_cast<size_t>(in / type.block) * static_cast<size_t>(type.block_bytes), static_cast<size_t>(out), &needed) ||
      !weight.data || weight.bytes < needed) {
    return fail(Code::LoadFailed, "{}: the tensor has {} bytes, its shape needs more", to_string(weight), weight.bytes);
  }
  auto matrix = std::make_unique<PackedMatrix>();
  matrix->out = out;
  matrix->in = in;
  matrix->type = weight.type;
  matrix->layout = *layout;
  matrix->groups = groups_of(out);
  matrix->group_stride = group_bytes(*layout, in);
  matrix->bytes = packed_bytes(weight.type, out, in, precision);
  VERGE_ASSIGN(data, arena.allocate(matrix->bytes));
  matrix->data = std::move(data);
  threads.parallel_for(matrix->groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) pack_group_of(weight, *matrix, g, matrix->data.get() + static_cast<size_t>(g) * matrix->group_stride);
  });
  return std::unique_ptr<Matrix>(std::move(matrix));
}

size_t packed_bytes(DType type, int64_t out, int64_t in, Precision precision) {
  const std::optional<Layout> layout = layout_of(type, precision);
  return layout ? static_cast<size_t>(groups_of(out)) * group_bytes(*layout, in) : 0;
}

}  // namespace verge::engine::cpu
