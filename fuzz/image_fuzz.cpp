// Arbitrary bytes as a picture: decoded in bounds, or refused with a reason. What is decoded is scaled, as the worker does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "media/image.h"
#include "media/resize.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::media;
  // A header of a few bytes may ask for hundreds of megabytes of pixels: allowed, and too slow to fuzz.
  const auto image = decode_image({reinterpret_cast<const std::byte*>(data), size});
  if (!image.ok()) {
    if (image.error().message.empty()) abort();
    return 0;
  }
  if (image->rgb.size() != static_cast<size_t>(image->width) * static_cast<size_t>(image->height) * 3) abort();
  if (image->rgb.size() > (1 << 20)) return 0;
  const Image small = resize(*image, 8, 8, Filter::Bicubic);
  if (centre_crop(small, 5, 9).rgb.size() != 5 * 9 * 3) abort();
  return 0;
}
