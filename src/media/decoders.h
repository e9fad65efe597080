// One function a format, for image.cpp alone. Each checks the size in the header with check_size() before it
// allocates pixels, and returns InvalidInput for damage of any kind. No orientation is applied.
#pragma once

#include <cstddef>
#include <span>

#include "media/image.h"

namespace verge::media {

Result<Image> decode_jpeg(std::span<const std::byte> bytes);
Result<Image> decode_png(std::span<const std::byte> bytes);
Result<Image> decode_webp(std::span<const std::byte> bytes);
Result<Image> decode_gif(std::span<const std::byte> bytes);
Result<Image> decode_bmp(std::span<const std::byte> bytes);

// Sides and area are within limits::kImageSide and kImagePixels.
Result<> check_size(uint64_t width, uint64_t height, const char* format);
// The pixels' allocation, once sides and area are within limits::kImageSide and kImagePixels.
Result<Image> make_image(uint64_t width, uint64_t height, const char* format);

}  // namespace verge::media
