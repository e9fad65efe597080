// Inverted residuals in pieces give the bits of whole layers.
#include "engine/models/images/inverted_residual.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace verge::engine {
namespace {

constexpr Padding kSame{0, true};

struct Case {
  int64_t in, wide, out;  // channels
  int kernel, stride, height, width, pictures;
};
const Case kCases[] = {
    {16, 96, 24, 3, 2, 75, 112, 1},    // pieces of rows that overlap by one
    {24, 144, 24, 3, 1, 57, 60, 2},    // by two; the input is added
    {24, 144, 40, 5, 2, 56, 56, 1},    // by three
    {24, 240, 24, 5, 1, 41, 40, 1},    // by four
    {8, 2048, 8, 3, 1, 9, 64, 1},      // a row is more than a piece
    {32, 32, 16, 3, 1, 112, 112, 1},   // not widened
    {40, 240, 40, 5, 1, 14, 14, 7},    // pieces of pictures
    {16, 16, 16, 3, 1, 10, 12, 3},     // not widened, the input is added
};

std::unique_ptr<Convolution> packed(Backend& backend, const ConvolutionShape& s, std::mt19937& random) {
  std::normal_distribution<float> normal(0, 0.2f);
  std::vector<float> weight(static_cast<size_t>(s.out * (s.depthwise ? 1 : s.in) * s.kernel_height * s.kernel_width)), bias(static_cast<size_t>(s.out));
  for (float& v : weight) v = normal(random);
  for (float& v : bias) v = normal(random);
  auto made = backend.pack_convolution(s, weight, bias);
  EXPECT_TRUE(made.ok());
  return std::move(*made);
}

TEST(InvertedResidual, PiecesGiveTheBitsOfWholeLayers) {
  auto one = make_cpu_backend({1, ""}), two = make_cpu_backend({2, ""});
  ASSERT_TRUE(one.ok() && two.ok());
  for (const Case& c : kCases) {
    std::mt19937 random(7);
    InvertedResidual block;
    if (c.wide != c.in) block.expand = packed(**one, {c.in, c.wide, 1, 1, 1, false}, random);
    block.depthwise = packed(**one, {c.wide, c.wide, c.kernel, c.kernel, c.stride, true}, random);
    block.project = packed(**one, {c.wide, c.out, 1, 1, 1, false}, random);
    block.residual = c.stride == 1 && c.in == c.out;
    Feature x, wide, filtered, whole, pieces;
    x.shape(c.pictures, c.height, c.width, c.in);
    std::normal_distribution<float> normal;
    for (float& v : x.data) v = normal(random);
    if (block.expand) convolve(**one, *block.expand, x, kSame, Clamp::Relu6, &wide);
    convolve(**one, *block.depthwise, block.expand ? wide : x, kSame, Clamp::Relu6, &filtered);
    convolve(**one, *block.project, filtered, kSame, Clamp::None, &whole, block.residual ? &x : nullptr);
    for (Backend* backend : {one->get(), two->get()}) {
      InvertedResidualRunner runner(*backend);
      for (int round = 0; round < 2; ++round) {  // nothing of the first is left for the second
        runner.forward(block, x, &pieces);
        ASSERT_EQ(pieces.floats(), whole.floats());
        ASSERT_EQ(0, std::memcmp(pieces.data.data(), whole.data.data(), whole.floats() * sizeof(float))) << c.in << " to " << c.wide << ", " << c.kernel << " x " << c.kernel;
      }
    }
  }
}

}  // namespace
}  // namespace verge::engine
