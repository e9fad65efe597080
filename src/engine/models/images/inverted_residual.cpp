#include "engine/models/images/inverted_residual.h"

#include <algorithm>
#include <cassert>

namespace verge::engine {
namespace {

// Of the widened input, for each thread: half of a second cache of 512 KiB.
constexpr int64_t kPieceFloats = 64 * 1024;
constexpr Padding kSame{0, true};

void fit(std::vector<float>& buffer, int64_t floats) {
  if (buffer.size() < static_cast<size_t>(floats)) buffer.resize(static_cast<size_t>(floats));
}

}  // namespace

size_t InvertedResidualRunner::scratch_floats(const Backend& backend, int width, int64_t channels) {
  // Two buffers of a piece; of a wide picture a piece has at least the rows of one output row, of which 8 are plenty.
  return 2 * static_cast<size_t>(std::max<int64_t>(kPieceFloats * backend.threads(), 8 * width * channels));
}

void InvertedResidualRunner::forward(const InvertedResidual& block, const Feature& x, Feature* y) {
  assert(&x != y);
  const ConvolutionShape& filter = block.depthwise->shape;
  const Placement p = place(filter, x.height, x.width, kSame);
  y->shape(x.n, p.out_height, p.out_width, block.project->shape.out);
  const int64_t row = int64_t{x.width} * filter.in, piece = kPieceFloats * backend_.threads();
  if (const int64_t at_once = piece / (row * x.height); at_once > 0) {
    for (int64_t first = 0; first < x.n; first += at_once) pictures(block, x, p, static_cast<int>(first), static_cast<int>(std::min<int64_t>(at_once, x.n - first)), y);
    return;
  }
  const int64_t rows_at_once = std::max<int64_t>(1, (piece / row - (filter.kernel_height - filter.stride)) / filter.stride);
  for (int i = 0; i < x.n; ++i) rows(block, x, p, i, static_cast<int>(rows_at_once), y);
}

void InvertedResidualRunner::pictures(const InvertedResidual& block, const Feature& x, const Placement& p, int first, int count, Feature* y) {
  const int64_t wide = block.depthwise->shape.in, in_pixels = int64_t{x.height} * x.width, out_pixels = int64_t{p.out_height} * p.out_width;
  const float* in = x.data.data() + first * in_pixels * x.channels;
  float* out = y->data.data() + first * out_pixels * y->channels;
  fit(wide_, block.expand ? count * in_pixels * wide : 0);
  fit(filtered_, count * out_pixels * wide);
  if (block.expand) convolve(backend_, *block.expand, in, count, x.height, x.width, {x.height, x.width}, Clamp::Relu6, nullptr, wide_.data());
  convolve(backend_, *block.depthwise, block.expand ? wide_.data() : in, count, x.height, x.width, p, Clamp::Relu6, nullptr, filtered_.data());
  convolve(backend_, *block.project, filtered_.data(), count, p.out_height, p.out_width, {p.out_height, p.out_width}, Clamp::None, block.residual ? in : nullptr, out);
}

void InvertedResidualRunner::rows(const InvertedResidual& block, const Feature& x, const Placement& p, int picture, int rows_at_once, Feature* y) {
  const ConvolutionShape& filter = block.depthwise->shape;
  const int64_t row = int64_t{x.width} * filter.in, in_row = int64_t{x.width} * x.channels, out_row = int64_t{p.out_width} * y->channels;
  const float* in = x.data.data() + picture * x.height * in_row;
  float* out = y->data.data() + picture * p.out_height * out_row;
  fit(wide_, block.expand ? ((rows_at_once - 1) * filter.stride + filter.kernel_height) * row : 0);
  fit(filtered_, rows_at_once * p.out_width * filter.out);
  int kept = 0, end = 0;  // rows [kept, end) of the widened input are in wide_
  for (int first = 0; first < p.out_height; first += rows_at_once) {
    const int count = std::min(rows_at_once, p.out_height - first), top = first * filter.stride - p.pad_top;
    const int from = std::max(top, 0), to = std::min(top + (count - 1) * filter.stride + filter.kernel_height, x.height);
    const float* seen = in + from * in_row;
    if (block.expand) {
      // Filters of neighbouring pieces overlap: those rows move up.
      const int still = std::max(end, from);
      std::copy(wide_.data() + (std::min(from, end) - kept) * row, wide_.data() + (end - kept) * row, wide_.data());
      if (to > still) convolve(backend_, *block.expand, in + still * in_row, 1, to - still, x.width, {to - still, x.width}, Clamp::Relu6, nullptr, wide_.data() + (still - from) * row);
      kept = from;
      end = std::max(end, to);
      seen = wide_.data();
    }
    convolve(backend_, *block.depthwise, seen, 1, to - from, x.width, {count, p.out_width, from - top, p.pad_left}, Clamp::Relu6, nullptr, filtered_.data());
    convolve(backend_, *block.project, filtered_.data(), 1, count, p.out_width, {count, p.out_width}, Clamp::None, block.residual ? in + first * in_row : nullptr, out + first * out_row);
  }
}

}  // namespace verge::engine
