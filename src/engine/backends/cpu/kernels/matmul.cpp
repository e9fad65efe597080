// Product kernels: packed groups of 16 rows times a panel of activations (layouts: ../layout.h).
//
// A kernel is put together from a reader of codes, a reader of scales and a panel width, so a type
// is one line of the table at the end. Codes are unpacked in registers right before their products: with several
// columns the unpacking hides behind the multiplications, and with one column the kernel waits for memory anyway.
// Each element of the result is one chain over the blocks of k, the same for every width and every place in
// a call: that is what makes a row's bits independent of its batch. Inside a block sums are integers, and exact.
#include "engine/backends/cpu/kernels/matmul.h"

#include "engine/backends/cpu/kernels/rows16.h"

namespace verge::engine::cpu::VERGE_ISA {
namespace {

// --- codes of one block. pair(): the codes [16][4] of steps 2·Pair and 2·Pair + 1. Vectors are read into a register
// once (load_once): as a memory operand of two instructions they would be loaded twice, and with one column loads are
// what limits the kernel. ---

struct CodePair {
  Codes even, odd;
};

struct Bits4 {
  static constexpr int kBytes = 256;
  static constexpr bool kSmall = true;
  const uint8_t* p;
  explicit Bits4(const uint8_t* block) : p(block) {}
  template <int Pair>
  CodePair pair() const {
    const Codes both = load_once(p + Pair * 64);
    return {low_nibbles(both), high_nibbles(both)};
  }
};

struct Bits5 {
  static constexpr int kBytes = 320;
  static constexpr bool kSmall = true;
  Bits4 low;
  Codes fifth;
  explicit Bits5(const uint8_t* block) : low(block), fifth(load_once(block + 256)) {}
  template <int Pair>
  CodePair pair() const {
    const CodePair codes = low.pair<Pair>();
    return {add_bits<4 - 2 * Pair>(codes.even, fifth, 0x10), add_bits<3 - 2 * Pair>(codes.odd, fifth, 0x10)};
  }
};

struct Bits6 {
  static constexpr int kBytes = 384;
  static constexpr bool kSmall = true;
  Bits4 low;
  Codes top[2];
  explicit Bits6(const uint8_t* block) : low(block), top{load_once(block + 256), load_once(block + 320)} {}
  template <int Pair>
  CodePair pair() const {
    constexpr int kShift = 4 - 4 * (Pair % 2);
    const CodePair codes = low.pair<Pair>();
    return {add_bits<kShift>(codes.even, top[Pair / 2], 0x30), add_bits<kShift - 2>(codes.odd, top[Pair / 2], 0x30)};
  }
};

struct Bits8 {
  static constexpr int kBytes = 512;
  static constexpr bool kSmall = false;
  const uint8_t* p;
  explicit Bits8(const uint8_t* block) : p(block) {}
  template <int Pair>
  CodePair pair() const { return {load_codes(p + Pair * 128), load_codes(p + Pair * 128 + 64)}; }
};

struct Bits2 {
  static constexpr int kBytes = 128;
  static constexpr bool kSmall = true;
  Codes bits[2];
  explicit Bits2(const uint8_t* block) : bits{load_once(block), load_once(block + 64)} {}
  template <int Pair>
  CodePair pair() const {
    constexpr int kShift = 4 * (Pair % 2);
    return {take_bits<kShift>(bits[Pair / 2], 3), take_bits<kShift + 2>(bits[Pair / 2], 3)};
  }
};

// Codes that stand for values of a table: the scales' reader holds it.
struct Table3 {
  static constexpr int kBytes = 192;
  static constexpr bool kSmall = true;
  Bits2 low;
  Codes third;
  Table table;
  Table3(const uint8_t* block, Table values) : low(block), third(load_once(block + 128)), table(values) {}
  template <int Pair>
  CodePair pair() const {
    const CodePair codes = low.pair<Pair>();
    return {look_up(table, add_bits<2 - 2 * Pair>(codes.even, third, 4)), look_up(table, add_bits<1 - 2 * Pair>(codes.odd, third, 4))};
  }
};

struct Table4 {
  static constexpr int kBytes = 256;
  static constexpr bool kSmall = false;
  Bits4 low;
  Table table;
  Table4(const uint8_t* block, Table values) : low(block), table(values) {}
  template <int Pair>
  CodePair pair() const {
    const CodePair codes = low.pair<Pair>();
    return {look_up(table, codes.even), look_up(table, codes.odd)};
  }
};

// --- scales of one chunk. Offset: log2 of (code of zero / 8), -1 for codes that start at zero ---

template <int Log2Offset>
struct PlainScale {
  static constexpr int kOffset = Log2Offset;
  static constexpr bool kMin = false, kHalves = false;
  const uint8_t* p;
  explicit PlainScale(const uint8_t* scales) : p(scales) {}
  Floats scale(int64_t block) const { return load_f16(p + block * 32); }
};

struct ScaleAndMin {
  static constexpr int kOffset = -1;
  static constexpr bool kMin = true, kHalves = false;
  const uint8_t* p;
  explicit ScaleAndMin(const uint8_t* scales) : p(scales) {}
  Floats scale(int64_t block) const { return load_f16(p + block * 64); }
  Floats min(int64_t block) const { return load_f16(p + block * 64 + 32); }
};

struct ScaleAndMinK {
  static constexpr int kOffset = -1;
  static constexpr bool kMin = true, kHalves = false;
  const uint8_t* p;
  Floats d, m;
  explicit ScaleAndMinK(const uint8_t* scales) : p(scales + 64), d(load_f16(scales)), m(load_f16(scales + 32)) {}
  Floats scale(int64_t block) const { return mul(d, load_u8(p + block * 16)); }  // 11 x 6 bits: exact
  Floats min(int64_t block) const { return mul(m, load_u8(p + 128 + block * 16)); }
};

struct HalfScales {  // one scale for 16 elements
  static constexpr int kOffset = 2;
  static constexpr bool kMin = false, kHalves = true;
  const uint8_t* p;
  Floats d;
  explicit HalfScales(const uint8_t* scales) : p(scales + 32), d(load_f16(scales)) {}
  Floats first(int64_t block) const { return mul(d, load_i8(p + block * 32)); }
  Floats second(int64_t block) const { return mul(d, load_i8(p + block * 32 + 16)); }
};

// A scale and a minimum of 4 bits each for 16 elements. Minima are eighths: they meet -8·sum.
struct HalfScalesAndMin {
  static constexpr int kOffset = -1;
  static constexpr bool kMin = true, kHalves = true;
  const uint8_t* p;
  Floats d, m;
  explicit HalfScalesAndMin(const uint8_t* scales) : p(scales + 64), d(load_f16(scales)), m(mul(load_f16(scales + 32), broadcast(0.125f))) {}
  Floats first(int64_t block) const { return mul(d, load_nibbles<0>(p + block * 32)); }
  Floats second(int64_t block) const { return mul(d, load_nibbles<0>(p + block * 32 + 16)); }
  Floats min_first(int64_t block) const { return mul(m, load_nibbles<4>(p + block * 32)); }
  Floats min_second(int64_t block) const { return mul(m, load_nibbles<4>(p + block * 32 + 16)); }
};

// The head of a chunk of table codes.
struct TableHead {
  Floats d;
  Table table;
  explicit TableHead(const uint8_t* scales) : d(mul(load_f16(scales), broadcast(load_f32(scales + 32)))), table(load_table(scales + 48)) {}
};

struct HalfTableScales : TableHead {
  static constexpr int kOffset = 3;
  static constexpr bool kMin = false, kHalves = true;
  const uint8_t* p;
  explicit HalfTableScales(const uint8_t* scales) : TableHead(scales), p(scales + kTableHead) {}
  Floats first(int64_t block) const { return mul(d, load_i8(p + block * 32)); }
  Floats second(int64_t block) const { return mul(d, load_i8(p + block * 32 + 16)); }
};

struct TableScales : TableHead {
  static constexpr int kOffset = 4;
  static constexpr bool kMin = false, kHalves = false;
  const uint8_t* p;
  explicit TableScales(const uint8_t* scales) : TableHead(scales), p(scales + kTableHead) {}
  Floats scale(int64_t block) const { return mul(d, load_i8(p + block * 16)); }
};

// Tables that are the type's own.
struct Iq4Scale : PlainScale<4> {
  Table table;
  explicit Iq4Scale(const uint8_t* scales) : PlainScale<4>(scales), table(load_table(kIq4Codes)) {}
};

struct Mxfp4Scale {
  static constexpr int kOffset = 4;
  static constexpr bool kMin = false, kHalves = false;
  const uint8_t* p;
  Table table;
  explicit Mxfp4Scale(const uint8_t* scales) : p(scales), table(load_table(kMxfp4Codes)) {}
  Floats scale(int64_t block) const { return load_bf16(p + block * 32); }
};

template <class Bits, class Scales>
VERGE_INLINE Bits open_block(const uint8_t* block, const Scales& scales) {
  if constexpr (requires { scales.table; }) {
    return Bits(block, scales.table);
  } else {
    return Bits(block);
  }
}

// --- products ---

// Integer weights are asked for this many blocks before they are used: the processors' own prefetch loses its way
// between the two places of a chunk that are read in turn. (Plain types are one stream each; there it does better.)
constexpr int64_t kBlocksAhead = 16;
// Panels of so many columns belong to large calls, whose activations don't stay in the nearest caches either.
constexpr int kWidePanel = 4;
constexpr int64_t kPanelAhead = 2048;  // bytes, of the plain types' panels

template <int N>
struct Count {
  static constexpr int kCount = N;
};

// Calls body(Count, first) for all C columns of a panel, at most `Most` at a time.
template <int C, int Most, class Body>
VERGE_INLINE void for_columns(const Body& body) {
  if constexpr (C <= Most) {
    body(Count<C>(), 0);
  } else {
    int first = 0;
    for (; first + Most <= C; first += Most) body(Count<Most>(), first);
    if constexpr (C % Most != 0) body(Count<C % Most>(), first);
  }
}

template <class Bits, int Pair, int C>
VERGE_INLINE void add_pair(const Bits& block, const uint8_t* columns, Sums* even, Sums* odd) {
  const CodePair codes = block.template pair<Pair>();
  const uint8_t* a = columns + Pair * 8;
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) even[c] = dot<Bits::kSmall>(even[c], codes.even, load_quad<Bits::kSmall>(a + c * 32));
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) odd[c] = dot<Bits::kSmall>(odd[c], codes.odd, load_quad<Bits::kSmall>(a + c * 32 + 4));
}

// Sixteen of the block's elements.
template <class Bits, int Half, int C>
VERGE_INLINE void add_half(const Bits& block, const uint8_t* columns, Sums* even, Sums* odd) {
  add_pair<Bits, 2 * Half, C>(block, columns, even, odd);
  add_pair<Bits, 2 * Half + 1, C>(block, columns, even, odd);
}

template <int Offset, int C>
VERGE_INLINE void start(const uint8_t* offsets, Sums* sums) {
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) {
    if constexpr (Offset < 0) {
      sums[c] = zero_sums();
    } else {
      sums[c] = start_sums<Offset>(offsets + c * 4);
    }
  }
}

// With one or two columns a chain of dependent products would be the bottleneck: two chains, added at the end
// (integers: the same sum).
template <int C>
struct Chains {
  static constexpr bool kTwo = C <= 2;
  Sums even[C], odd[kTwo ? C : 1];
  Sums* other() { return kTwo ? odd : even; }
  void begin() {
    if constexpr (kTwo) {
      for (int c = 0; c < C; ++c) odd[c] = zero_sums();
    }
  }
  Floats total(int c) const {
    if constexpr (kTwo) return to_floats(add(even[c], odd[c]));
    return to_floats(even[c]);
  }
};

// Where the parts of a panel's block lie for its columns from `first` on.
struct Columns {
  const uint8_t *codes, *d, *d_sum, *offset, *offset_first, *offset_second;
  VERGE_INLINE Columns at(const uint8_t* block, int width, int first) {
    const uint8_t* rest = block + width * 32 + first * 4;
    return {block + first * 32, rest, rest + width * 4, rest + width * 8, rest + width * 12, rest + width * 16};
  }
};

template <class Bits, class Scales, int C>
VERGE_INLINE void add_block(const Bits& block, const Scales& scales, int64_t b, const Columns& columns, Floats* acc) {
  Chains<C> chains;
  chains.begin();
  if constexpr (Scales::kHalves) {
    Floats value[C];
    start<Scales::kOffset, C>(columns.offset_first, chains.even);
    add_half<Bits, 0, C>(block, columns.codes, chains.even, chains.other());
    const Floats first = scales.first(b);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) value[c] = mul(chains.total(c), first);
    chains.begin();
    start<Scales::kOffset, C>(columns.offset_second, chains.even);
    add_half<Bits, 1, C>(block, columns.codes, chains.even, chains.other());
    const Floats second = scales.second(b);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) acc[c] = fma(fma(chains.total(c), second, value[c]), broadcast(load_f32(columns.d + c * 4)), acc[c]);
    if constexpr (Scales::kMin) {
      const Floats min_first = scales.min_first(b), min_second = scales.min_second(b);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        const Floats sum_first = broadcast(static_cast<float>(load_i32(columns.offset_first + c * 4)));
        const Floats sum_second = broadcast(static_cast<float>(load_i32(columns.offset_second + c * 4)));
        acc[c] = fma(fma(min_first, sum_first, mul(min_second, sum_second)), broadcast(load_f32(columns.d + c * 4)), acc[c]);
      }
    }
  } else {
    start<Scales::kOffset, C>(columns.offset, chains.even);
    add_half<Bits, 0, C>(block, columns.codes, chains.even, chains.other());
    add_half<Bits, 1, C>(block, columns.codes, chains.even, chains.other());
    const Floats scale = scales.scale(b);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) acc[c] = fma(mul(chains.total(c), scale), broadcast(load_f32(columns.d + c * 4)), acc[c]);
    if constexpr (Scales::kMin) {
      const Floats min = scales.min(b);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) acc[c] = fma(min, broadcast(load_f32(columns.d_sum + c * 4)), acc[c]);
    }
  }
}

// One group times the columns [first, first + C) of a panel of `width` columns.
template <Layout L, class Bits, class Scales, int C>
VERGE_COLUMNS void quantized_columns(const uint8_t* group, int64_t in, const uint8_t* panel, int width, int first, float* tile) {
  Floats acc[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) acc[c] = zero_floats();
  for (int64_t left = in / kBlockElements; left > 0; left -= kChunkBlocks) {
    const int64_t blocks = left < kChunkBlocks ? left : kChunkBlocks;
    const Scales scales(group + blocks * Bits::kBytes);
    constexpr size_t kBlockShare = chunk_bytes(L, kChunkBlocks) / kChunkBlocks;
    const uint8_t* ahead = group + kBlocksAhead * kBlockShare;
    for (int64_t b = 0; b < blocks; ++b, panel += width * kColumnBytes) {
#pragma GCC unroll 9
      for (size_t line = 0; line < kBlockShare; line += kLine) __builtin_prefetch(ahead + line);
      ahead += kBlockShare;
      if (width >= kWidePanel) {
#pragma GCC unroll 9
        for (int line = 0; line < width * kColumnBytes; line += kLine) __builtin_prefetch(panel + kBlocksAhead * width * kColumnBytes + line);
      }
      add_block<Bits, Scales, C>(open_block<Bits>(group + b * Bits::kBytes, scales), scales, b, Columns::at(panel, width, first), acc);
    }
    group += chunk_bytes(L, blocks);
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) store(tile + (first + c) * kGroupRows, acc[c]);
}

template <Layout L, class Bits, class Scales, int C>
void quantized_product(const uint8_t* groups, int count, int64_t in, const uint8_t* panel, float* tile) {
  for (int g = 0; g < count; ++g, groups += group_bytes(L, in), tile += C * kGroupRows) {
    for_columns<C, kColumnsTogether>([&](auto columns, int first) {
      quantized_columns<L, Bits, Scales, columns.kCount>(groups, in, panel, C, first, tile);
    });
  }
}

struct WeightsF32 {
  static constexpr int kBytes = 64, kElements = 1;
  VERGE_INLINE Floats load_weights(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
  VERGE_INLINE Floats product(Floats acc, Floats w, const uint8_t* x) { return fma(w, broadcast(load_f32(x)), acc); }
};

struct WeightsF16 {
  static constexpr int kBytes = 32, kElements = 1;
  VERGE_INLINE Floats load_weights(const uint8_t* p) { return load_f16(p); }
  VERGE_INLINE Floats product(Floats acc, Floats w, const uint8_t* x) { return fma(w, broadcast(load_f32(x)), acc); }
};

struct WeightsBF16 {
  static constexpr int kBytes = 64, kElements = 2;
  VERGE_INLINE Pairs load_weights(const uint8_t* p) { return load_pairs(p); }
  VERGE_INLINE Floats product(Floats acc, Pairs w, const uint8_t* x) { return dot_pairs(acc, w, load_i32(x)); }
};

// G groups at once, columns [first, first + C): with few columns their chains hide the latency of the multiply-add.
template <class Weights, int C, int G>
VERGE_COLUMNS void float_columns(const uint8_t* groups, size_t stride, int64_t steps, const uint8_t* panel, int width, int first, float* tile) {
  Floats acc[G][C];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) acc[g][c] = zero_floats();
  }
  const uint8_t* x = panel + first * 4;
  const auto step = [&](int64_t k) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const auto w = Weights::load_weights(groups + static_cast<size_t>(g) * stride + k * Weights::kBytes);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) acc[g][c] = Weights::product(acc[g][c], w, x + c * 4);
    }
    x += width * 4;
  };
  // Where another thread shares the core, what is not a multiply-add costs as much as one: four steps a round.
  int64_t k = 0;
  for (; k + 4 <= steps; k += 4) {
    if (width >= kWidePanel && first == 0) {
      __builtin_prefetch(x + kPanelAhead);
      __builtin_prefetch(x + kPanelAhead + kLine);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) step(k + i);
  }
  for (; k < steps; ++k) step(k);
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) store(tile + (g * width + first + c) * kGroupRows, acc[g][c]);
  }
}

template <Layout L, class Weights, int C>
void float_product(const uint8_t* groups, int count, int64_t in, const uint8_t* panel, float* tile) {
  const size_t stride = group_bytes(L, in);
  const int64_t steps = (in + Weights::kElements - 1) / Weights::kElements;
  constexpr FloatBlock kBlock = float_block(C);
  constexpr int kMost = kBlock.groups, kColumns = kBlock.columns;
  int g = 0;
  for (; g + kMost <= count; g += kMost, groups += kMost * stride, tile += kMost * C * kGroupRows) {
    for_columns<C, kColumns>([&](auto columns, int first) {
      float_columns<Weights, columns.kCount, kMost>(groups, stride, steps, panel, C, first, tile);
    });
  }
  for (; g < count; ++g, groups += stride, tile += C * kGroupRows) {
    for_columns<C, kColumns>([&](auto columns, int first) { float_columns<Weights, columns.kCount, 1>(groups, stride, steps, panel, C, first, tile); });
  }
}

// --- activations ---

// Four chains of 16 lanes: the order of the sum is fixed by dim alone.
float inverse_rms(const float* x, int64_t dim, float eps) {
  Floats sums[4] = {zero_floats(), zero_floats(), zero_floats(), zero_floats()};
  int64_t k = 0;
  for (; k + 64 <= dim; k += 64) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Floats value = load(x + k + 16 * i);
      sums[i] = fma(value, value, sums[i]);
    }
  }
  float total = sum_of(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  for (; k < dim; ++k) total += x[k] * x[k];
  return 1.0f / __builtin_sqrtf(total / static_cast<float>(dim) + eps);
}

void prepare_int8(const PanelSource& source, int64_t begin, int64_t end, uint8_t* panel, int width) {
  const auto w = static_cast<size_t>(width);
  panel += static_cast<size_t>(begin / kBlockElements) * w * kColumnBytes;
  for (int64_t k = begin; k < end; k += kBlockElements, panel += w * kColumnBytes) {
    Floats norm_a, norm_b;
    if (source.norm_weight) {
      norm_a = load(source.norm_weight + k);
      norm_b = load(source.norm_weight + k + 16);
    }
    for (int c = 0; c < source.columns; ++c) {
      const float* x = source.x + c * source.stride + k;
      Floats a = load(x), b = load(x + 16);
      if (source.norm_weight) {
        const Floats scale = broadcast(source.inverse_rms[c]);
        a = mul(mul(a, scale), norm_a);
        b = mul(mul(b, scale), norm_b);
      }
      const float most = largest_magnitude(a, b);
      // Below this 127 / most could overflow; such a block adds nothing to any sum.
      const bool empty = most < 1e-30f;
      const float d = empty ? 0 : most * (1.0f / 127), to_code = empty ? 0 : 127 / most;
      const __m128i first = to_codes(a, to_code), second = to_codes(b, to_code);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(panel + c * 32), first);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(panel + c * 32 + 16), second);
      // psadbw adds unsigned bytes: 128 too much each.
      const __m128i flip = _mm_set1_epi8(-128), zero = _mm_setzero_si128();
      const __m128i sum_a = _mm_sad_epu8(_mm_xor_si128(first, flip), zero), sum_b = _mm_sad_epu8(_mm_xor_si128(second, flip), zero);
      const int32_t sum_first = _mm_cvtsi128_si32(sum_a) + _mm_extract_epi16(sum_a, 4) - 16 * 128;
      const int32_t sum_second = _mm_cvtsi128_si32(sum_b) + _mm_extract_epi16(sum_b, 4) - 16 * 128;
      const float d_sum = d * static_cast<float>(sum_first + sum_second);
      const int32_t offsets[3] = {-8 * (sum_first + sum_second), -8 * sum_first, -8 * sum_second};
      uint8_t* rest = panel + w * 32 + static_cast<size_t>(c) * 4;
      memcpy(rest, &d, 4);
      memcpy(rest + w * 4, &d_sum, 4);
      for (size_t i = 0; i < 3; ++i) memcpy(rest + w * 4 * (2 + i), &offsets[i], 4);
    }
  }
}

// Elements [k, k + count) of column c, count <= kPiece.
constexpr int kPiece = 64;
VERGE_INLINE void read_piece(const PanelSource& source, int c, int64_t k, int count, float* to) {
  const float* x = source.x + c * source.stride + k;
  if (!source.norm_weight) {
    memcpy(to, x, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  for (int i = 0; i < count; ++i) to[i] = x[i] * source.inverse_rms[c] * source.norm_weight[k + i];
}

#ifdef __AVX2__
// to[i][c] = rows[c][i] for eight rows of eight.
VERGE_INLINE void turn(const float* const* rows, int i, float* to) {
  __m256 a[8], b[8];
#pragma GCC unroll 4
  for (int c = 0; c < 8; c += 2) {
    const __m256 x = _mm256_loadu_ps(rows[c] + i), y = _mm256_loadu_ps(rows[c + 1] + i);
    a[c] = _mm256_unpacklo_ps(x, y);
    a[c + 1] = _mm256_unpackhi_ps(x, y);
  }
#pragma GCC unroll 2
  for (int c = 0; c < 8; c += 4) {
    b[c] = _mm256_shuffle_ps(a[c], a[c + 2], 0x44);
    b[c + 1] = _mm256_shuffle_ps(a[c], a[c + 2], 0xee);
    b[c + 2] = _mm256_shuffle_ps(a[c + 1], a[c + 3], 0x44);
    b[c + 3] = _mm256_shuffle_ps(a[c + 1], a[c + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * 8, _mm256_permute2f128_ps(b[c], b[c + 4], 0x20));
    _mm256_storeu_ps(to + (c + 4) * 8, _mm256_permute2f128_ps(b[c], b[c + 4], 0x31));
  }
}

// Whole panels of eight columns.
void prepare_eight(const PanelSource& source, int64_t begin, int64_t end, float* panel) {
  float pieces[8][kPiece];
  for (int64_t k = begin; k < end; k += kPiece) {
    const int count = static_cast<int>(end - k < kPiece ? end - k : kPiece);
    const float* rows[8];
    for (int c = 0; c < 8; ++c) {
      rows[c] = source.norm_weight ? pieces[c] : source.x + c * source.stride + k;
      if (source.norm_weight) read_piece(source, c, k, count, pieces[c]);
    }
    float* to = panel + k * 8;
    int i = 0;
    for (; i + 8 <= count; i += 8) turn(rows, i, to + i * 8);
    for (; i < count; ++i)
      for (int c = 0; c < 8; ++c) to[i * 8 + c] = rows[c][i];
  }
}
#endif

void prepare_f32(const PanelSource& source, int64_t begin, int64_t end, uint8_t* panel, int width) {
#ifdef __AVX2__
  if (width == 8 && source.columns == 8) return prepare_eight(source, begin, end, reinterpret_cast<float*>(panel));
#endif
  for (int64_t k = begin; k < end; k += kPiece) {
    const int count = static_cast<int>(end - k < kPiece ? end - k : kPiece);
    for (int c = 0; c < source.columns; ++c) {
      float piece[kPiece];
      read_piece(source, c, k, count, piece);
      float* to = reinterpret_cast<float*>(panel) + k * width + c;
      for (int i = 0; i < count; ++i, to += width) *to = piece[i];
    }
  }
}

// Round to nearest, ties to even; NaN stays NaN.
VERGE_INLINE uint32_t bf16_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded;
}

void prepare_bf16(const PanelSource& source, int64_t begin, int64_t end, uint8_t* panel, int width) {
  for (int64_t k = begin; k < end; k += kPiece) {
    const int count = static_cast<int>(end - k < kPiece ? end - k : kPiece);
    for (int c = 0; c < source.columns; ++c) {
      float piece[kPiece] = {};
      uint16_t halves[kPiece];
      read_piece(source, c, k, count, piece);
      for (int i = 0; i < kPiece; ++i) halves[i] = static_cast<uint16_t>(bf16_bits(piece[i]));
      uint32_t* to = reinterpret_cast<uint32_t*>(panel) + k / 2 * width + c;
      for (int i = 0; i < count; i += 2, to += width) memcpy(to, halves + i, 4);
    }
  }
}

void store_tile(const float* tile, int width, int columns, int64_t rows, const float* bias, bool accumulate, float* y, int64_t y_stride) {
  for (int64_t g = 0; g * kGroupRows < rows; ++g) {
    const int64_t first = g * kGroupRows, count = rows - first < kGroupRows ? rows - first : kGroupRows;
    for (int c = 0; c < columns; ++c) {
      const float* from = tile + (g * width + c) * kGroupRows;
      float* to = y + c * y_stride + first;
      if (count == kGroupRows) {
        Floats value = load(from);
        if (bias) value = add(value, load(bias + first));
        if (accumulate) value = add(load(to), value);
        store(to, value);
        continue;
      }
      for (int64_t r = 0; r < count; ++r) {
        float value = from[r];
        if (bias) value += bias[first + r];
        to[r] = accumulate ? to[r] + value : value;
      }
    }
  }
}

}  // namespace

#define VERGE_QUANTIZED(layout, bits, scales)                                                                              \
  {                                                                                                                        \
    quantized_product<layout, bits, scales, 1>, quantized_product<layout, bits, scales, 2>,                                \
        quantized_product<layout, bits, scales, 3>, quantized_product<layout, bits, scales, 4>,                            \
        quantized_product<layout, bits, scales, 6>, quantized_product<layout, bits, scales, 8>                             \
  }
#define VERGE_FLOAT(layout, weights)                                                                                       \
  {                                                                                                                        \
    float_product<layout, weights, 1>, float_product<layout, weights, 2>, float_product<layout, weights, 3>,               \
        float_product<layout, weights, 4>, float_product<layout, weights, 6>, float_product<layout, weights, 8>            \
  }

extern const MatmulKernels matmul_kernels = {
    {
        VERGE_FLOAT(Layout::F32, WeightsF32),
        VERGE_FLOAT(Layout::F16, WeightsF16),
        VERGE_FLOAT(Layout::BF16, WeightsBF16),
        VERGE_QUANTIZED(Layout::Q4_0, Bits4, PlainScale<0>),
        VERGE_QUANTIZED(Layout::Q4_1, Bits4, ScaleAndMin),
        VERGE_QUANTIZED(Layout::Q5_0, Bits5, PlainScale<1>),
        VERGE_QUANTIZED(Layout::Q5_1, Bits5, ScaleAndMin),
        VERGE_QUANTIZED(Layout::Q8_0, Bits8, PlainScale<4>),
        VERGE_QUANTIZED(Layout::Q4_K, Bits4, ScaleAndMinK),
        VERGE_QUANTIZED(Layout::Q5_K, Bits5, ScaleAndMinK),
        VERGE_QUANTIZED(Layout::Q6_K, Bits6, HalfScales),
        VERGE_QUANTIZED(Layout::Q2_K, Bits2, HalfScalesAndMin),
        VERGE_QUANTIZED(Layout::Table3, Table3, HalfTableScales),
        VERGE_QUANTIZED(Layout::Table4, Table4, TableScales),
        VERGE_QUANTIZED(Layout::IQ4_NL, Table4, Iq4Scale),
        VERGE_QUANTIZED(Layout::MXFP4, Table4, Mxfp4Scale),
    },
    {prepare_int8, prepare_f32, prepare_bf16},
    inverse_rms,
    store_tile,
};

}  // namespace verge::engine::cpu::VERGE_ISA
