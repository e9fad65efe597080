// A convolution is a matrix product whose left side is never written down: a table of pointers says where each output
// pixel's inputs lie (an "indirect" convolution; Dukhan, https://arxiv.org/abs/1907.02129). Pixels of all pictures are one row of
// tiles, so that small pictures of a batch fill tiles together. Work is handed out in blocks of a few tiles times a few panels:
// a block's inputs stay in the nearest cache while its panels' weights pass by.
//
// With very few input channels (a picture's three) a pointer for so few floats costs more than it says: there the inputs of
// a tile are copied side by side first. Layers of 3 x 3 with many channels go another way: winograd.h.
#include "engine/backends/cpu/convolution.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "engine/backends/cpu/arena.h"
#include "engine/backends/cpu/threads.h"
#include "engine/backends/cpu/winograd.h"

namespace verge::engine::cpu {
namespace {

constexpr int64_t kPanel = 16;
constexpr int64_t kPanelsOfBlock = 8, kZeros = 2 * kPanel;
constexpr int64_t kWeightsAtOnce = 32 * 1024;  // floats
constexpr int kFewChannels = 8;

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

class CpuConvolution final : public Convolution {
 public:
  std::shared_ptr<uint8_t> memory;
  float* weights = nullptr;  // dense: {panels, taps, in, 16}; depthwise: {taps, channels}; winograd.h says its own
  float* bias = nullptr;     // {panels, 16}
  float* zeros = nullptr;    // {max(in, kZeros)}: what lies outside a picture, a bias that was added already
};

// Where the input of each output pixel lies.
struct Geometry {
  const ConvolutionArgs& a;
  const ConvolutionShape& s;
  const float* zeros;

  struct At {
    int64_t picture;
    int64_t y, x;  // of the first tap; may be outside
  };
  At at(int64_t pixel) const {
    const int64_t area = int64_t{a.out_height} * a.out_width, inside = pixel % area;
    return {pixel / area, inside / a.out_width * s.stride - a.pad_top, inside % a.out_width * s.stride - a.pad_left};
  }
  const float* tap(const At& at, int64_t ky, int64_t kx) const {
    const int64_t y = at.y + ky, x = at.x + kx;
    if (y < 0 || y >= a.height || x < 0 || x >= a.width) return zeros;
    return a.x + ((at.picture * a.height + y) * a.width + x) * s.in;
  }
  // The pixel right of it, or the first of the next row.
  void advance(At* place) const {
    place->x += s.stride;
    if (place->x < int64_t{a.out_width} * s.stride - a.pad_left) return;
    place->x = -a.pad_left;
    place->y += s.stride;
    if (place->y < int64_t{a.out_height} * s.stride - a.pad_top) return;
    place->y = -a.pad_top;
    ++place->picture;
  }
  // to[t * rows + r] for all taps t.
  void pointers(int64_t first, int rows, const float** to) const {
    At place = at(first);
    for (int r = 0; r < rows; ++r, advance(&place)) {
      const float** tap_of_row = to + r;
      for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
        for (int64_t kx = 0; kx < s.kernel_width; ++kx, tap_of_row += rows) *tap_of_row = tap(place, ky, kx);
      }
    }
  }
  // {rows, taps * in}, the inputs themselves.
  void patches(int64_t first, int rows, float* to) const {
    const size_t row_floats = static_cast<size_t>(s.kernel_width) * static_cast<size_t>(s.in);
    At place = at(first);
    for (int r = 0; r < rows; ++r, advance(&place)) {
      for (int64_t ky = 0; ky < s.kernel_height; ++ky, to += row_floats) {
        const bool inside = place.x >= 0 && place.x + s.kernel_width <= a.width && place.y + ky >= 0 && place.y + ky < a.height;
        if (inside) {
          std::memcpy(to, tap(place, ky, 0), row_floats * sizeof(float));
          continue;
        }
        for (int64_t kx = 0; kx < s.kernel_width; ++kx) std::copy_n(tap(place, ky, kx), s.in, to + kx * s.in);
      }
    }
  }
};

void dense(const ConvolutionArgs& a, const CpuConvolution& c, const ConvolutionKernels& kernels, Threads& threads, ConvolutionScratch& scratch) {
  const ConvolutionShape& s = c.shape;
  const Geometry geometry{a, s, c.zeros};
  const bool patches = s.in < kFewChannels && s.kernel_height * s.kernel_width > 1;
  const int64_t taps = int64_t{s.kernel_height} * s.kernel_width, taps_seen = patches ? 1 : taps, depth = patches ? taps * s.in : s.in;
  const Cut cut(int64_t{a.n} * a.out_height * a.out_width, kernels.rows);
  const int64_t panels = round_up(s.out, kPanel) / kPanel;
  // Where a panel's weights would not stay in the second cache from tile to tile, it is done some taps at a time, its sums waiting
  // in y; a larger block then makes up for their way there and back.
  const Cut steps(taps_seen, std::max<int64_t>(1, kWeightsAtOnce / (depth * kPanel)));
  const int64_t tiles_of_block = steps.tiles > 1 ? 12 : 4;
  const int64_t blocks = (cut.tiles + tiles_of_block - 1) / tiles_of_block, groups = (panels + kPanelsOfBlock - 1) / kPanelsOfBlock;
  const size_t pointers = static_cast<size_t>(taps_seen * kernels.rows), floats = patches ? static_cast<size_t>(depth * kernels.rows) : 0;

  threads.run([&](int thread) {
    ConvolutionScratch::OfThread& own = scratch.threads[static_cast<size_t>(thread)];
    own.pixels.resize(std::max(own.pixels.size(), pointers * static_cast<size_t>(tiles_of_block)));
    own.floats.resize(std::max(own.floats.size(), floats * static_cast<size_t>(tiles_of_block)));
    for (int64_t job; (job = threads.take(1)) < blocks * groups;) {
      const int64_t first_tile = job / groups * tiles_of_block, end_tile = std::min(first_tile + tiles_of_block, cut.tiles);
      const int64_t first_panel = job % groups * kPanelsOfBlock, end_panel = std::min(first_panel + kPanelsOfBlock, panels);
      for (int64_t i = first_tile; i < end_tile; ++i) {
        const float** to = &own.pixels[static_cast<size_t>(i - first_tile) * pointers];
        const int rows = cut.rows(i);
        if (!patches) {
          geometry.pointers(cut.first(i), rows, to);
          continue;
        }
        float* inputs = &own.floats[static_cast<size_t>(i - first_tile) * floats];
        geometry.patches(cut.first(i), rows, inputs);
        for (int r = 0; r < rows; ++r) to[r] = inputs + r * depth;
      }
      ConvolutionTile t;
      t.depth = depth;
      t.stride = s.out;
      t.panel = taps * s.in * kPanel;
      for (int64_t panel = first_panel; panel < end_panel; panel += t.panels) {
        t.panels = static_cast<int>(std::min<int64_t>(kernels.panels, end_panel - panel));
        t.columns = std::min<int64_t>(s.out - panel * kPanel, t.panels * kPanel);
        for (int64_t step = 0; step < steps.tiles; ++step) {
          const int64_t tap = steps.first(step);
          const bool first = step == 0, last = step + 1 == steps.tiles;
          t.taps = steps.rows(step);
          t.weights = c.weights + panel * t.panel + tap * depth * kPanel;
          t.bias = first ? c.bias + panel * kPanel : c.zeros;
          t.low = last ? a.low : -std::numeric_limits<float>::infinity();
          t.high = last ? a.high : std::numeric_limits<float>::infinity();
          for (int64_t i = first_tile; i < end_tile; ++i) {
            t.rows = cut.rows(i);
            t.pixels = &own.pixels[static_cast<size_t>(i - first_tile) * pointers] + tap * t.rows;
            const int64_t at = cut.first(i) * s.out + panel * kPanel;
            t.y = a.y + at;
            t.add = !first ? t.y : a.add ? a.add + at : nullptr;
            kernels.tile(t);
          }
        }
      }
    }
  });
}

void depthwise(const ConvolutionArgs& a, const CpuConvolution& c, const ConvolutionKernels& kernels, Threads& threads, ConvolutionScratch& scratch) {
  const ConvolutionShape& s = c.shape;
  const Geometry geometry{a, s, c.zeros};
  const Cut cut(a.out_width, kernels.depthwise_outputs);
  const int64_t rows = int64_t{a.n} * a.out_height, rows_at_once = std::max(1, 32 / a.out_width);
  const int most_across = (kernels.depthwise_outputs - 1) * s.stride + s.kernel_width;
  threads.run([&](int thread) {
    ConvolutionScratch::OfThread& own = scratch.threads[static_cast<size_t>(thread)];
    own.pixels.resize(std::max(own.pixels.size(), static_cast<size_t>(s.kernel_height * most_across)));
    for (int64_t first; (first = threads.take(rows_at_once)) < rows;) {
      for (int64_t row = first; row < std::min(first + rows_at_once, rows); ++row) {
        for (int64_t i = 0; i < cut.tiles; ++i) {
          const int outputs = cut.rows(i);
          const int64_t pixel = row * a.out_width + cut.first(i);
          const Geometry::At at = geometry.at(pixel);
          window_pixels(a, s.in, c.zeros, at.picture, at.y, at.x, s.kernel_height, (outputs - 1) * s.stride + s.kernel_width, own.pixels.data());
          kernels.depthwise({own.pixels.data(), outputs, s.kernel_height, s.kernel_width, s.stride, s.in, c.weights, c.bias, a.y + pixel * s.out, a.low, a.high});
        }
      }
    }
  });
}

int64_t weight_floats(const ConvolutionShape& s) {
  const int64_t taps = int64_t{s.kernel_height} * s.kernel_width;
  if (s.depthwise) return round_up(taps * s.in, kPanel);
  return by_winograd(s) ? winograd_floats(s) : round_up(s.out, kPanel) * taps * s.in;
}

}  // namespace

void window_pixels(const ConvolutionArgs& a, int64_t channels, const float* zeros, int64_t picture, int64_t top, int64_t left, int rows, int columns, const float** to) {
  for (int64_t y = top; y < top + rows; ++y) {
    const bool row_inside = y >= 0 && y < a.height;
    const float* row = row_inside ? a.x + (picture * a.height + y) * a.width * channels : nullptr;
    for (int64_t x = left; x < left + columns; ++x) *to++ = row_inside && x >= 0 && x < a.width ? row + x * channels : zeros;
  }
}

const ConvolutionKernels& convolution_kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::convolution_kernels : isa == Isa::Avx2 ? avx2::convolution_kernels : base::convolution_kernels;
}

size_t convolution_bytes(const ConvolutionShape& s) {
  return static_cast<size_t>(weight_floats(s) + round_up(s.out, kPanel) + std::max(round_up(s.in, kPanel), kZeros)) * sizeof(float);
}

Result<std::unique_ptr<Convolution>> pack_convolution(const ConvolutionShape& s, std::span<const float> weight, std::span<const float> bias, Arena& arena) {
  const int64_t taps = int64_t{s.kernel_height} * s.kernel_width, in_of_filter = s.depthwise ? 1 : s.in;
  if (s.in < 1 || s.out < 1 || taps < 1 || s.stride < 1 || (s.depthwise && s.in != s.out)) {
    return fail(Code::LoadFailed, "a convolution of {} to {} channels, {} x {}, stride {} is not supported", s.in, s.out, s.kernel_height, s.kernel_width, s.stride);
  }
  assert(static_cast<int64_t>(weight.size()) == s.out * in_of_filter * taps && static_cast<int64_t>(bias.size()) == s.out);
  auto packed = std::make_unique<CpuConvolution>();
  packed->shape = s;
  packed->bytes = convolution_bytes(s);
  VERGE_ASSIGN(memory, arena.allocate(packed->bytes));
  packed->memory = std::move(memory);
  packed->weights = reinterpret_cast<float*>(packed->memory.get());
  packed->bias = packed->weights + weight_floats(s);
  packed->zeros = packed->bias + round_up(s.out, kPanel);
  std::copy(bias.begin(), bias.end(), packed->bias);
  if (by_winograd(s)) {
    transform_weights(s, weight, packed->weights);
    return std::unique_ptr<Convolution>(std::move(packed));
  }
  for (int64_t o = 0; o < s.out; ++o) {
    for (int64_t i = 0; i < in_of_filter; ++i) {
      for (int64_t t = 0; t < taps; ++t) {
        const float value = weight[static_cast<size_t>((o * in_of_filter + i) * taps + t)];
        const int64_t at = s.depthwise ? t * s.in + o : ((o / kPanel * taps + t) * s.in + i) * kPanel + o % kPanel;
        packed->weights[at] = value;
      }
    }
  }
  return std::unique_ptr<Convolution>(std::move(packed));
}

void convolution(const ConvolutionArgs& a, Threads& threads, Isa isa, ConvolutionScratch& scratch) {
  const auto& packed = static_cast<const CpuConvolution&>(*a.weights);
  assert(a.n >= 1 && a.out_height >= 1 && a.out_width >= 1 && !(packed.shape.depthwise && a.add));
  scratch.threads.resize(static_cast<size_t>(threads.count()));
  if (by_winograd(packed.shape)) return winograd(a, {packed.weights, packed.bias, packed.zeros}, threads, isa, scratch);
  packed.shape.depthwise ? depthwise(a, packed, convolution_kernels_for(isa), threads, scratch) : dense(a, packed, convolution_kernels_for(isa), threads, scratch);
}

void max_pool(const PoolArgs& a, Threads& threads, Isa isa) {
  const ConvolutionKernels& kernels = convolution_kernels_for(isa);
  threads.parallel_for(int64_t{a.n} * a.out_height, 4, [&](int64_t begin, int64_t end) {
    std::vector<const float*> pixels;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t picture = row / a.out_height, top = row % a.out_height * a.stride - a.pad;
      for (int64_t ox = 0; ox < a.out_width; ++ox) {
        const int64_t left = ox * a.stride - a.pad;
        pixels.clear();
        for (int64_t y = std::max<int64_t>(top, 0); y < std::min<int64_t>(top + a.kernel, a.height); ++y) {
          for (int64_t x = std::max<int64_t>(left, 0); x < std::min<int64_t>(left + a.kernel, a.width); ++x) {
            pixels.push_back(a.x + ((picture * a.height + y) * a.width + x) * a.channels);
          }
        }
        assert(!pixels.empty());
        kernels.max(pixels.data(), static_cast<int64_t>(pixels.size()), a.channels, a.y + (row * a.out_width + ox) * a.channels);
      }
    }
  });
}

void mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y, Threads& threads, Isa isa) {
  const ConvolutionKernels& kernels = convolution_kernels_for(isa);
  threads.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels.mean(x + i * pixels * channels, pixels, channels, y + i * channels);
  });
}

}  // namespace verge::engine::cpu
