// A picture in memory, and the one door through which foreign bytes become one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/error.h"

namespace verge::media {

// Rows from the top, three bytes a pixel, no padding between rows.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;

  const uint8_t* row(int y) const { return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3; }
  uint8_t* row(int y) { return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3; }
};

enum class ImageFormat { Unknown, Jpeg, Png, WebP, Gif, Bmp };

// From the first bytes; the name or a stated media type plays no part.
ImageFormat image_format(std::span<const std::byte> bytes);

// JPEG, PNG, WebP, GIF and BMP to RGB, turned upright where EXIF says how the camera was held. Of an animation the
// first frame. Transparency is left out (colours as stored), 16-bit samples keep their high byte, CMYK is converted
// as Pillow does: what preprocessing of the published models was made with. Sizes are checked against
// limits::kImage… before pixels are allocated.
// Errors: InvalidInput (not a picture, damaged, truncated, too many pixels), TooLarge (bytes).
Result<Image> decode_image(std::span<const std::byte> bytes);

}  // namespace verge::media
