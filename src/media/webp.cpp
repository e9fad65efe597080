// WebP through libwebp: lossy, lossless, and of an animation the first frame on its canvas.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "media/decoders.h"

namespace verge::media {
namespace {

Result<Image> first_frame(const uint8_t* data, size_t size, Image image) {
  const WebPData input{data, size};
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) return fail(Code::Internal, "libwebp: cannot start");
  options.color_mode = MODE_RGBA;
  options.use_threads = 0;
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&input, &options), WebPAnimDecoderDelete);
  uint8_t* rgba = nullptr;
  int time = 0;
  if (!decoder || !WebPAnimDecoderGetNext(decoder.get(), &rgba, &time)) return fail(Code::InvalidInput, "the image is damaged or truncated: WebP animation");
  const size_t pixels = image.rgb.size() / 3;
  for (size_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = rgba[4 * i + c];
  }
  return image;
}

}  // namespace

Result<Image> decode_webp(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) return fail(Code::InvalidInput, "the image is truncated: WebP: the file ends early");
  if (status != VP8_STATUS_OK || features.width <= 0 || features.height <= 0) return fail(Code::InvalidInput, "the image is damaged: WebP: unreadable header");
  VERGE_ASSIGN(image, make_image(static_cast<uint64_t>(features.width), static_cast<uint64_t>(features.height), "WebP"));
  if (features.has_animation) return first_frame(data, bytes.size(), std::move(image));
  if (!WebPDecodeRGBInto(data, bytes.size(), image.rgb.data(), image.rgb.size(), image.width * 3))
    return fail(Code::InvalidInput, "the image is damaged or truncated: WebP");
  return image;
}

}  // namespace verge::media
