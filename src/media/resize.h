// Scaling and cropping of pictures.
#pragma once

#include "media/image.h"

namespace verge::media {

enum class Filter { Nearest, Box, Bilinear, Hamming, Bicubic, Lanczos };

// A part of a picture in pixels, whole or fractional (a resize may take its source from between pixels).
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

// To width x height, as Pillow's Image.resize(…, reducing_gap=None) does it for 8-bit pictures, bit for bit: two passes
// of a separable filter that widens with the reduction (antialiasing), weights in fixed point with 22 fractional bits, rounding to 8 bits
// after each pass. The filters other than Nearest. `box` must lie inside the picture.
Image resize(const Image& image, int width, int height, Filter filter, const Box& box);
Image resize(const Image& image, int width, int height, Filter filter);

// Which must lie inside.
Image crop(const Image& image, int left, int top, int width, int height);

// The middle of a picture; where it is smaller than asked, black is added around it. Rounding as torchvision's and the
// hub's centre crop: the left and upper margin is the smaller one where they cannot be equal.
Image centre_crop(const Image& image, int width, int height);

}  // namespace verge::media
