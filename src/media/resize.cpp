// Source of the method: the description in Pillow's handbook ("Filters") and the published coefficients: weight of
// source pixel i for output pixel x is filter((i + 0.5 - centre) / scale), centre = (x + 0.5) * scale, normalised to
// sum 1. Passes: columns first, then rows; each rounds and clamps to 8 bits.
#include "media/resize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace verge::media {
namespace {

constexpr int kPrecision = 32 - 8 - 2;  // bits after the point: sums of 255 * weights with overshoot stay within int32

double sinc(double x) { return x == 0 ? 1 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x); }

double weight_of(Filter filter, double x) {
  x = std::abs(x);
  switch (filter) {
    case Filter::Nearest:
    case Filter::Box: break;
    case Filter::Bilinear: return x < 1 ? 1 - x : 0;
    case Filter::Hamming: return x == 0 ? 1 : x >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * std::cos(std::numbers::pi * x));
    case Filter::Bicubic: {
      constexpr double kA = -0.5;
      if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * kA : 0;
    }
    case Filter::Lanczos: return x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
  return 0;
}

double support_of(Filter filter) {
  switch (filter) {
    case Filter::Nearest:
    case Filter::Box: return 0.5;
    case Filter::Bilinear:
    case Filter::Hamming: return 1;
    case Filter::Bicubic: return 2;
    case Filter::Lanczos: return 3;
  }
  return 0;
}

// Which source pixels make each output pixel, and how much of each.
struct Taps {
  struct Range {
    int first, count;
    size_t weights;  // index of the first of `count`
  };
  std::vector<Range> ranges;
  std::vector<int32_t> weights;
};

Taps make_taps(int in, double from, double to, int out, Filter filter) {
  Taps taps;
  const double scale = (to - from) / out, stretch = std::max(scale, 1.0), support = support_of(filter) * stretch;
  std::vector<double> weights;
  for (int x = 0; x < out; ++x) {
    const double centre = from + (x + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int end = std::min(static_cast<int>(centre + support + 0.5), in);
    weights.clear();
    double sum = 0;
    for (int i = first; i < end; ++i) {
      const double at = (i - centre + 0.5) * (1 / stretch);
      // The box is open on the left: a pixel on the edge of two outputs belongs to one.
      const double weight = filter == Filter::Box ? (at > -0.5 && at <= 0.5 ? 1.0 : 0.0) : weight_of(filter, at);
      weights.push_back(weight);
      sum += weight;
    }
    taps.ranges.push_back({first, std::max(end - first, 0), taps.weights.size()});
    for (double weight : weights) {
      const double scaled = (sum != 0 ? weight / sum : weight) * (1 << kPrecision);
      taps.weights.push_back(static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  return taps;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255)); }

// `rows` rows of `in` from `first_row`, each to taps.ranges.size() pixels.
Image filter_columns(const Image& in, const Taps& taps, int first_row, int rows) {
  Image out;
  out.width = static_cast<int>(taps.ranges.size());
  out.height = rows;
  out.rgb.resize(static_cast<size_t>(out.width) * static_cast<size_t>(rows) * 3);
  for (int y = 0; y < rows; ++y) {
    const uint8_t* row = in.row(first_row + y);
    uint8_t* to = out.row(y);
    for (const Taps::Range& range : taps.ranges) {
      int32_t sum[3] = {1 << (kPrecision - 1), 1 << (kPrecision - 1), 1 << (kPrecision - 1)};
      const uint8_t* from = row + 3 * static_cast<size_t>(range.first);
      for (int i = 0; i < range.count; ++i, from += 3) {
        const int32_t weight = taps.weights[range.weights + static_cast<size_t>(i)];
        for (int c = 0; c < 3; ++c) sum[c] += from[c] * weight;
      }
      for (int c = 0; c < 3; ++c) *to++ = to_byte(sum[c]);
    }
  }
  return out;
}

// taps.ranges.size() rows; `first_row` is the source's row that row 0 of `in` stands for.
Image filter_rows(const Image& in, const Taps& taps, int first_row) {
  Image out;
  out.width = in.width;
  out.height = static_cast<int>(taps.ranges.size());
  const size_t stride = static_cast<size_t>(in.width) * 3;
  out.rgb.resize(stride * static_cast<size_t>(out.height));
  std::vector<int32_t> sums(stride);
  for (int y = 0; y < out.height; ++y) {
    const Taps::Range& range = taps.ranges[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), 1 << (kPrecision - 1));
    for (int i = 0; i < range.count; ++i) {
      const int32_t weight = taps.weights[range.weights + static_cast<size_t>(i)];
      const uint8_t* from = in.row(range.first - first_row + i);
      for (size_t x = 0; x < stride; ++x) sums[x] += from[x] * weight;
    }
    uint8_t* to = out.row(y);
    for (size_t x = 0; x < stride; ++x) to[x] = to_byte(sums[x]);
  }
  return out;
}

Image nearest(const Image& image, int width, int height, const Box& box) {
  Image out;
  out.width = width;
  out.height = height;
  out.rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  const double across = (box.right - box.left) / width, down = (box.bottom - box.top) / height;
  for (int y = 0; y < height; ++y) {
    const int sy = std::clamp(static_cast<int>(box.top + (y + 0.5) * down), 0, image.height - 1);
    for (int x = 0; x < width; ++x) {
      const int sx = std::clamp(static_cast<int>(box.left + (x + 0.5) * across), 0, image.width - 1);
      std::copy_n(image.row(sy) + 3 * static_cast<size_t>(sx), 3, out.row(y) + 3 * static_cast<size_t>(x));
    }
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int width, int height, Filter filter, const Box& box) {
  assert(width > 0 && height > 0 && box.left >= 0 && box.top >= 0 && box.right <= image.width && box.bottom <= image.height);
  assert(box.left < box.right && box.top < box.bottom);
  if (filter == Filter::Nearest) return nearest(image, width, height, box);
  // A pass that would keep every pixel is left out: its rounding changes nothing.
  const bool columns = width != image.width || box.left != 0 || box.right != image.width;
  const bool rows = height != image.height || box.top != 0 || box.bottom != image.height;
  if (!columns && !rows) return image;
  const Taps down = make_taps(image.height, box.top, box.bottom, height, filter);
  // The first pass needs only the rows that the second reads.
  const int first = rows ? down.ranges.front().first : 0;
  const int end = rows ? down.ranges.back().first + down.ranges.back().count : image.height;
  if (!columns) return filter_rows(image, down, 0);
  Image between = filter_columns(image, make_taps(image.width, box.left, box.right, width, filter), first, end - first);
  return rows ? filter_rows(between, down, first) : between;
}

Image resize(const Image& image, int width, int height, Filter filter) {
  return resize(image, width, height, filter, {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)});
}

Image crop(const Image& image, int left, int top, int width, int height) {
  assert(left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= image.width && top + height <= image.height);
  Image out;
  out.width = width;
  out.height = height;
  out.rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (int y = 0; y < height; ++y) std::copy_n(image.row(top + y) + 3 * static_cast<size_t>(left), 3 * static_cast<size_t>(width), out.row(y));
  return out;
}

Image centre_crop(const Image& image, int width, int height) {
  Image out;
  out.width = width;
  out.height = height;
  out.rgb.assign(static_cast<size_t>(width) * static_cast<size_t>(height) * 3, 0);
  // floor((image - crop) / 2); negative where the picture is smaller: then the picture is put into the middle.
  const auto margin = [](int have, int want) { return have >= want ? (have - want) / 2 : -((want - have + 1) / 2); };
  const int left = margin(image.width, width), top = margin(image.height, height);
  for (int y = 0; y < height; ++y) {
    const int sy = top + y;
    if (sy < 0 || sy >= image.height) continue;
    const int from = std::max(left, 0), to = std::min(left + width, image.width);
    if (from < to) std::copy(image.row(sy) + 3 * static_cast<size_t>(from), image.row(sy) + 3 * static_cast<size_t>(to), out.row(y) + 3 * static_cast<size_t>(from - left));
  }
  return out;
}

}  // namespace verge::media
