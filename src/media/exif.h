// The one field of EXIF that changes a picture: how the camera was held.
#pragma once

#include <cstddef>
#include <span>

#include "media/image.h"

namespace verge::media {

// 1 … 8 as EXIF numbers them; 1 (upright) where there is no such field or the data is damaged.
int exif_orientation(std::span<const std::byte> bytes, ImageFormat format);

// Turns and mirrors so that an orientation of 1 results.
Image upright(Image image, int orientation);

}  // namespace verge::media
