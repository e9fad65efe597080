// Convolutions and pooling against naive loops, over every instruction set; a picture's bits alone, in a batch and on any team.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "engine/backend.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

struct Case {
  ConvolutionShape shape;
  int height, width, pad_top, pad_left, out_height, out_width;
  bool add, relu;
};

std::vector<float> noise(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

size_t out_floats(const Case& c) { return static_cast<size_t>(c.out_height) * static_cast<size_t>(c.out_width) * static_cast<size_t>(c.shape.out); }
size_t in_floats(const Case& c) { return static_cast<size_t>(c.height) * static_cast<size_t>(c.width) * static_cast<size_t>(c.shape.in); }

std::vector<double> naive(const Case& c, const std::vector<float>& x, int n, const std::vector<float>& w, const std::vector<float>& bias, const std::vector<float>& add) {
  const ConvolutionShape& s = c.shape;
  std::vector<double> y;
  for (int i = 0; i < n; ++i)
    for (int oy = 0; oy < c.out_height; ++oy)
      for (int ox = 0; ox < c.out_width; ++ox)
        for (int64_t o = 0; o < s.out; ++o) {
          double sum = bias[static_cast<size_t>(o)];
          for (int ky = 0; ky < s.kernel_height; ++ky)
            for (int kx = 0; kx < s.kernel_width; ++kx) {
              const int iy = oy * s.stride - c.pad_top + ky, ix = ox * s.stride - c.pad_left + kx;
              if (iy < 0 || iy >= c.height || ix < 0 || ix >= c.width) continue;
              const auto at = static_cast<size_t>((i * c.height + iy) * c.width + ix) * static_cast<size_t>(s.in);
              for (int64_t k = s.depthwise ? o : 0; k < (s.depthwise ? o + 1 : s.in); ++k) {
                const int64_t filter = (o * (s.depthwise ? 1 : s.in) + (s.depthwise ? 0 : k)) * s.kernel_height * s.kernel_width + ky * s.kernel_width + kx;
                sum += double{x[at + static_cast<size_t>(k)]} * w[static_cast<size_t>(filter)];
              }
            }
          if (c.add) sum += add[y.size()];
          y.push_back(c.relu ? std::min(std::max(sum, 0.0), 6.0) : sum);
        }
  return y;
}

std::vector<float> run(Backend& backend, const Case& c, const float* x, int n, const std::vector<float>& w, const std::vector<float>& bias, const float* add) {
  auto packed = backend.pack_convolution(c.shape, w, bias);
  EXPECT_TRUE(packed.ok());
  std::vector<float> y(out_floats(c) * static_cast<size_t>(n), NAN);
  ConvolutionArgs args;
  args.weights = packed->get();
  args.x = x;
  args.n = n;
  args.height = c.height, args.width = c.width;
  args.out_height = c.out_height, args.out_width = c.out_width;
  args.pad_top = c.pad_top, args.pad_left = c.pad_left;
  args.y = y.data();
  args.add = c.add ? add : nullptr;
  if (c.relu) args.low = 0, args.high = 6;
  backend.convolution(args);
  return y;
}

// in, out, kernel, stride, depthwise; height, width, pads, out sizes, add, relu
const Case kCases[] = {
    {{64, 64, 1, 1, 1, false}, 7, 7, 0, 0, 7, 7, true, true},        // a product
    {{5, 3, 1, 1, 1, false}, 3, 5, 0, 0, 3, 5, false, false},        // fewer channels than a vector
    {{16, 40, 3, 3, 1, false}, 9, 11, 1, 1, 9, 11, true, true},      // two panels and a half
    {{24, 130, 3, 3, 2, false}, 14, 15, 1, 1, 7, 8, false, true},    // more than one group of panels
    {{3, 64, 7, 7, 2, false}, 33, 30, 3, 3, 17, 15, false, true},    // a stem: inputs copied side by side
    {{3, 32, 3, 3, 2, false}, 32, 32, 0, 0, 16, 16, false, true},    // TensorFlow's padding: more below than above
    {{1, 17, 5, 2, 1, false}, 8, 8, 2, 0, 8, 8, false, false},       // kernel not square
    {{32, 32, 3, 3, 1, true}, 10, 9, 1, 1, 10, 9, false, true},      // depthwise
    {{150, 150, 5, 5, 2, true}, 12, 12, 1, 1, 6, 6, false, false},   // depthwise, channels no multiple of a vector
    {{20, 20, 3, 3, 2, true}, 9, 40, 0, 0, 5, 20, false, true},      // depthwise, several tiles a row
    {{24, 24, 5, 5, 1, true}, 7, 7, 2, 2, 7, 7, false, true},        // depthwise, most of the filter outside
    {{16, 16, 4, 2, 3, true}, 9, 11, 1, 1, 3, 4, false, false},      // depthwise, a shape that has no kernel of its own
    {{1280, 1000, 1, 1, 1, false}, 1, 1, 0, 0, 1, 1, false, false},  // a classifier
    {{64, 48, 3, 3, 1, false}, 13, 10, 1, 1, 13, 10, true, true},    // Winograd's from here: tiles cut off right and below
    {{16, 16, 3, 3, 1, false}, 3, 2, 1, 1, 3, 2, false, true},       // less than a tile
    {{32, 64, 3, 3, 1, false}, 12, 21, 0, 0, 10, 19, false, false},  // no padding
    {{48, 16, 3, 3, 1, false}, 6, 6, 2, 0, 8, 4, true, false},       // all of it on one side
    {{256, 256, 3, 3, 1, false}, 14, 14, 1, 1, 14, 14, true, true},  // as many channels as go this way
    {{512, 256, 3, 3, 1, false}, 5, 6, 1, 1, 5, 6, false, true},     // more
};

TEST(Convolution, IsTheNaiveSum) {
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({1, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    for (const Case& c : kCases) {
      const ConvolutionShape& s = c.shape;
      const auto w = noise(static_cast<size_t>(s.out * (s.depthwise ? 1 : s.in) * s.kernel_height * s.kernel_width), 1), bias = noise(static_cast<size_t>(s.out), 2);
      const auto x = noise(in_floats(c) * 2, 3), add = noise(out_floats(c) * 2, 4);
      const auto got = run(**backend, c, x.data(), 2, w, bias, add.data());
      const auto expected = naive(c, x, 2, w, bias, add);
      ASSERT_EQ(got.size(), expected.size());
      const double scale = std::sqrt(static_cast<double>(s.depthwise ? 1 : s.in) * s.kernel_height * s.kernel_width);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-5 * scale) << isa << " " << s.in << " to " << s.out << " at " << i;
    }
  }
}

TEST(Convolution, APicturesBitsAreTheSameInAnyBatchAndTeam) {
  for (const char* isa : instruction_sets()) {
    auto one = make_cpu_backend({1, isa}), three = make_cpu_backend({3, isa});
    ASSERT_TRUE(one.ok() && three.ok());
    for (const Case& c : kCases) {
      const ConvolutionShape& s = c.shape;
      const auto w = noise(static_cast<size_t>(s.out * (s.depthwise ? 1 : s.in) * s.kernel_height * s.kernel_width), 1), bias = noise(static_cast<size_t>(s.out), 2);
      constexpr int kBatch = 5;
      const auto x = noise(in_floats(c) * kBatch, 3), add = noise(out_floats(c) * kBatch, 4);
      const auto together = run(**three, c, x.data(), kBatch, w, bias, add.data());
      for (size_t i = 0; i < kBatch; ++i) {
        const auto alone = run(**one, c, x.data() + i * in_floats(c), 1, w, bias, add.data() + i * out_floats(c));
        ASSERT_EQ(0, std::memcmp(alone.data(), together.data() + i * out_floats(c), out_floats(c) * sizeof(float))) << isa << " " << s.in << " to " << s.out;
      }
    }
  }
}

TEST(Convolution, WhatIsAddedMayBeTheOutput) {
  auto backend = make_cpu_backend({1, ""});
  ASSERT_TRUE(backend.ok());
  const Case& c = kCases[2];
  const auto w = noise(static_cast<size_t>(c.shape.out * c.shape.in * 9), 1), bias = noise(static_cast<size_t>(c.shape.out), 2);
  const auto x = noise(in_floats(c), 3), add = noise(out_floats(c), 4);
  const auto expected = run(**backend, c, x.data(), 1, w, bias, add.data());
  auto packed = (*backend)->pack_convolution(c.shape, w, bias);
  ASSERT_TRUE(packed.ok());
  auto y = add;
  (*backend)->convolution({packed->get(), x.data(), 1, c.height, c.width, c.out_height, c.out_width, c.pad_top, c.pad_left, y.data(), y.data(), 0, 6});
  EXPECT_EQ(y, expected);
}

TEST(Convolution, ShapesThatAreNoneAreRefused) {
  auto backend = make_cpu_backend({1, ""});
  ASSERT_TRUE(backend.ok());
  EXPECT_EQ((*backend)->pack_convolution({0, 4, 1, 1, 1, false}, {}, {}).error().code, Code::LoadFailed);
  EXPECT_EQ((*backend)->pack_convolution({4, 8, 1, 1, 1, true}, {}, {}).error().code, Code::LoadFailed);
}

TEST(Pooling, IsTheNaiveMaximumAndMean) {
  constexpr int kN = 2, kHeight = 11, kWidth = 8;
  constexpr int64_t kChannels = 21;
  const auto x = noise(static_cast<size_t>(kN * kHeight * kWidth * kChannels), 5);
  const auto at = [&](int i, int y, int c_x, int64_t c) { return x[static_cast<size_t>(((i * kHeight + y) * kWidth + c_x) * kChannels + c)]; };
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    constexpr int kOutHeight = 6, kOutWidth = 4;
    std::vector<float> y(static_cast<size_t>(kN * kOutHeight * kOutWidth * kChannels)), mean(static_cast<size_t>(kN * kChannels));
    (*backend)->max_pool({x.data(), kN, kHeight, kWidth, kChannels, 3, 2, 1, kOutHeight, kOutWidth, y.data()});
    (*backend)->mean_pool(x.data(), kN, kHeight * kWidth, kChannels, mean.data());
    for (int i = 0; i < kN; ++i)
      for (int64_t c = 0; c < kChannels; ++c) {
        double sum = 0;
        for (int iy = 0; iy < kHeight; ++iy)
          for (int ix = 0; ix < kWidth; ++ix) sum += at(i, iy, ix, c);
        EXPECT_NEAR(mean[static_cast<size_t>(i * kChannels + c)], sum / (kHeight * kWidth), 1e-6);
        for (int oy = 0; oy < kOutHeight; ++oy)
          for (int ox = 0; ox < kOutWidth; ++ox) {
            float top = -INFINITY;
            for (int iy = std::max(oy * 2 - 1, 0); iy < std::min(oy * 2 + 2, kHeight); ++iy)
              for (int ix = std::max(ox * 2 - 1, 0); ix < std::min(ox * 2 + 2, kWidth); ++ix) top = std::max(top, at(i, iy, ix, c));
            EXPECT_EQ(y[static_cast<size_t>(((i * kOutHeight + oy) * kOutWidth + ox) * kChannels + c)], top);
          }
      }
  }
}

}  // namespace
}  // namespace verge::engine
