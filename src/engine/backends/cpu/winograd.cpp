// Three steps: a block of tiles is transformed, its 36 products are matrix products of tiles x channels by the tile kernel of plain
// convolutions, and each tile's sums are transformed back. A job does all three for a few tiles, so that what lies between stays in
// the nearer caches; with few tiles the panels are shared out too, and a job's first step is done more than once.
#include "engine/backends/cpu/winograd.h"

#include <algorithm>
#include <array>
#include <limits>

#include "engine/backends/cpu/convolution.h"
#include "engine/backends/cpu/kernels/convolution.h"
#include "engine/backends/cpu/kernels/winograd.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

constexpr int64_t kPanel = 16;
constexpr int64_t kMostWeights = 256 * 256;  // of one tap

const WinogradKernels& kernels_for(Isa isa) {
  return isa == Isa::Avx512 ? avx512::winograd_kernels : isa == Isa::Avx2 ? avx2::winograd_kernels : base::winograd_kernels;
}

// Tiles of all pictures behind each other.
struct Tiles {
  const ConvolutionArgs& a;
  const int64_t across, down;
  explicit Tiles(const ConvolutionArgs& args) : a(args), across((args.out_width + kWinogradTile - 1) / kWinogradTile), down((args.out_height + kWinogradTile - 1) / kWinogradTile) {}
  int64_t count() const { return a.n * across * down; }
  struct At {
    int64_t picture;
    int y, x;  // of the first output pixel
  };
  At at(int64_t tile) const {
    const int64_t inside = tile % (across * down);
    return {tile / (across * down), static_cast<int>(inside / across) * kWinogradTile, static_cast<int>(inside % across) * kWinogradTile};
  }
};

}  // namespace

bool by_winograd(const ConvolutionShape& s) {
  return !s.depthwise && s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.in % kPanel == 0 && s.out % kPanel == 0 && s.in * s.out <= kMostWeights;
}

int64_t winograd_floats(const ConvolutionShape& s) { return kWinogradProducts * s.in * s.out; }

// G w Gt: the filter as a polynomial, at each point, over the product of the point's distances from the others.
void transform_weights(const ConvolutionShape& s, std::span<const float> weight, float* to) {
  constexpr double a = kWinogradA, b = kWinogradB;
  constexpr double at_a = 2 * a * a * (a * a - b * b), at_b = 2 * b * b * (b * b - a * a), at_0 = a * a * b * b;
  constexpr double kG[6][3] = {{1 / at_0, 0, 0},           {1 / at_a, a / at_a, a * a / at_a},  {1 / at_a, -a / at_a, a * a / at_a},
                               {1 / at_b, b / at_b, b * b / at_b}, {1 / at_b, -b / at_b, b * b / at_b}, {0, 0, 1}};
  for (int64_t o = 0; o < s.out; ++o) {
    for (int64_t i = 0; i < s.in; ++i) {
      const float* w = &weight[static_cast<size_t>((o * s.in + i) * 9)];
      float* first = to + (o / kPanel * s.in + i) * kPanel + o % kPanel;
      for (int64_t y = 0; y < 6; ++y) {
        double row[3] = {};
        for (int64_t k = 0; k < 3; ++k) {
          for (int64_t x = 0; x < 3; ++x) row[x] += kG[y][k] * static_cast<double>(w[k * 3 + x]);
        }
        for (int64_t x = 0; x < 6; ++x) {
          first[(y * 6 + x) * s.in * s.out] = static_cast<float>(kG[x][0] * row[0] + kG[x][1] * row[1] + kG[x][2] * row[2]);
        }
      }
    }
  }
}

void winograd(const ConvolutionArgs& args, const WinogradLayer& layer, Threads& threads, Isa isa, ConvolutionScratch& scratch) {
  const ConvolutionShape& s = args.weights->shape;
  const WinogradKernels& kernels = kernels_for(isa);
  const ConvolutionKernels& products = convolution_kernels_for(isa);
  const Tiles tiles(args);
  const int64_t panels = s.out / kPanel, most_panels = std::min<int64_t>(panels, 8);
  // Enough tiles that a panel's weights are used several times before the next come; fewer where the caches would not hold them.
  const int64_t most = 2 * products.rows;
  const Cut blocks(tiles.count(), most);
  const int64_t shared_out = (2 * threads.count() + blocks.tiles - 1) / blocks.tiles;
  const Cut groups(panels, std::clamp<int64_t>(panels / shared_out, 1, most_panels));

  threads.run([&](int thread) {
    ConvolutionScratch::OfThread& own = scratch.threads[static_cast<size_t>(thread)];
    const size_t inputs = static_cast<size_t>(kWinogradProducts * most * s.in), sums = static_cast<size_t>(kWinogradProducts * most * most_panels * kPanel);
    own.floats.resize(std::max(own.floats.size(), inputs + sums));
    float *v = own.floats.data(), *m = v + inputs;
    std::array<const float*, kWinogradProducts> pixels;
    int64_t transformed = -1;
    for (int64_t job; (job = threads.take(1)) < blocks.tiles * groups.tiles;) {
      const int64_t block = job / groups.tiles, group = job % groups.tiles, first = blocks.first(block), rows = blocks.rows(block);
      if (block != transformed) {
        for (int64_t i = 0; i < rows; ++i) {
          const Tiles::At at = tiles.at(first + i);
          window_pixels(args, s.in, layer.zeros, at.picture, at.y - args.pad_top, at.x - args.pad_left, kWinogradPatch, kWinogradPatch, pixels.data());
          kernels.input(pixels.data(), s.in, v + i * s.in, rows * s.in);
        }
        transformed = block;
      }
      const Cut cut(rows, products.rows);
      ConvolutionTile t;
      t.taps = 1;
      t.depth = s.in;
      t.bias = layer.zeros;
      t.low = -std::numeric_limits<float>::infinity();
      t.high = std::numeric_limits<float>::infinity();
      const int64_t first_panel = groups.first(group), width = groups.rows(group) * kPanel;
      t.stride = width;
      for (int64_t f = 0; f < kWinogradProducts; ++f) {
        for (int64_t panel = 0; panel < groups.rows(group); ++panel) {
          t.weights = layer.weights + (f * panels + first_panel + panel) * s.in * kPanel;
          for (int64_t i = 0; i < cut.tiles; ++i) {
            const int64_t row = cut.first(i);
            t.rows = cut.rows(i);
            for (int r = 0; r < t.rows; ++r) pixels[static_cast<size_t>(r)] = v + (f * rows + row + r) * s.in;
            t.pixels = pixels.data();
            t.y = m + (f * rows + row) * width + panel * kPanel;
            products.tile(t);
          }
        }
      }
      for (int64_t i = 0; i < rows; ++i) {
        const Tiles::At at = tiles.at(first + i);
        WinogradOutput o;
        o.stride = rows * width;
        o.pixel = s.out;
        o.row = int64_t{args.out_width} * s.out;
        o.rows = std::min(kWinogradTile, args.out_height - at.y);
        o.columns = std::min(kWinogradTile, args.out_width - at.x);
        o.low = args.low;
        o.high = args.high;
        for (int64_t c = 0; c < width; c += kPanel) {
          const int64_t channel = first_panel * kPanel + c, pixel = ((at.picture * args.out_height + at.y) * args.out_width + at.x) * s.out + channel;
          o.sums = m + i * width + c;
          o.bias = layer.bias + channel;
          o.y = args.y + pixel;
          o.add = args.add ? args.add + pixel : nullptr;
          kernels.output(o);
        }
      }
    }
  });
}

}  // namespace verge::engine::cpu
