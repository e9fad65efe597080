#include "media/image.h"

#include <cstring>
#include <string_view>

#include "media/decoders.h"
#include "media/exif.h"
#include "support/limits.h"

namespace verge::media {

ImageFormat image_format(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  using namespace std::string_view_literals;
  if (text.starts_with("\xff\xd8\xff"sv)) return ImageFormat::Jpeg;
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) return ImageFormat::Png;
  if (text.size() >= 12 && text.starts_with("RIFF"sv) && text.substr(8, 4) == "WEBP"sv) return ImageFormat::WebP;
  if (text.starts_with("GIF87a"sv) || text.starts_with("GIF89a"sv)) return ImageFormat::Gif;
  if (text.starts_with("BM"sv)) return ImageFormat::Bmp;
  return ImageFormat::Unknown;
}

Result<> check_size(uint64_t width, uint64_t height, const char* format) {
  if (width == 0 || height == 0) return fail(Code::InvalidInput, "the image is damaged: a {} of {} x {} pixels", format, width, height);
  if (width > limits::kImageSide || height > limits::kImageSide || width * height > limits::kImagePixels) {
    return fail(Code::InvalidInput, "the image has {} x {} pixels; at most {} are accepted, and {} a side", width, height, limits::kImagePixels,
                limits::kImageSide);
  }
  return {};
}

Result<Image> make_image(uint64_t width, uint64_t height, const char* format) {
  VERGE_TRY(check_size(width, height, format));
  Image image;
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  image.rgb.resize(static_cast<size_t>(width * height) * 3);
  return image;
}

Result<Image> decode_image(std::span<const std::byte> bytes) {
  if (bytes.size() > limits::kImageBytes) {
    Error error = fail(Code::TooLarge, "an image of {} bytes, limit {}", bytes.size(), limits::kImageBytes);
    error.requested = static_cast<int64_t>(bytes.size());
    error.limit = static_cast<int64_t>(limits::kImageBytes);
    return error;
  }
  if (bytes.empty()) return fail(Code::InvalidInput, "the image is empty");
  const ImageFormat format = image_format(bytes);
  const auto decode = [&]() -> Result<Image> {
    switch (format) {
      case ImageFormat::Jpeg: return decode_jpeg(bytes);
      case ImageFormat::Png: return decode_png(bytes);
      case ImageFormat::WebP: return decode_webp(bytes);
      case ImageFormat::Gif: return decode_gif(bytes);
      case ImageFormat::Bmp: return decode_bmp(bytes);
      case ImageFormat::Unknown: break;
    }
    return fail(Code::InvalidInput, "not an image: JPEG, PNG, WebP, GIF and BMP are accepted");
  };
  VERGE_ASSIGN(image, decode());
  return upright(std::move(image), exif_orientation(bytes, format));
}

}  // namespace verge::media
