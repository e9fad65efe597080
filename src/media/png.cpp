// PNG through libpng: every colour type to 8-bit RGB. libpng reports errors by a jump, as libjpeg does (jpeg.cpp).
// An APNG's first frame is the default image: its animation chunks are not known to libpng and skipped.
// Files that libpng does not take as they are go through png_mend first.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "media/bytes.h"
#include "media/decoders.h"
#include "media/png_mend.h"
#include "support/limits.h"
#include "support/overload_limits.h"

namespace verge::media {
namespace {

struct Reader {
  const std::byte* next = nullptr;
  size_t left = 0;
  bool truncated = false;
  bool last_row = false;       // is being read; what follows it in the file counts against …
  size_t last_row_bytes = 0;   // … this
  char message[160] = "";
  jmp_buf back;
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  if (!reader->message[0]) std::snprintf(reader->message, sizeof reader->message, "%s", text);
  longjmp(reader->back, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep to, size_t count) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader->left) {
    reader->truncated = true;
    png_error(png, "the file ends early");
  }
  // After the last row libpng unpacks the rest of the stream only to throw it away: a thousand bytes for each one here.
  if (reader->last_row) {
    if (count > reader->last_row_bytes) png_error(png, "its pixel data go on after the last row");
    reader->last_row_bytes -= count;
  }
  std::memcpy(to, reader->next, count);
  reader->next += count;
  reader->left -= count;
}

// To RGB: palettes looked up, grey widened, 16 bits cut to their high byte, transparency dropped
// unless it is kept.
bool read_header(png_structp png, png_infop info, Reader& reader, bool keep_alpha) {
  if (setjmp(reader.back)) return false;
  png_set_read_fn(png, &reader, read_bytes);
  png_set_user_limits(png, static_cast<png_uint_32>(limits::kImageSide), static_cast<png_uint_32>(limits::kImageSide));
  png_set_chunk_cache_max(png, 64);
  png_set_chunk_malloc_max(png, limits::kPngChunkBytes);
  // The picture alone is wanted: text, profiles and times are skipped unread.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_crc_action(png, PNG_CRC_QUIET_USE,
                     PNG_CRC_QUIET_USE);  // mend_png has looked at those that count
  png_read_info(png, info);
  png_set_palette_to_rgb(png);
  if (png_get_bit_depth(png, info) < 8) png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_16(png);
  if (!keep_alpha) png_set_strip_alpha(png);
  else png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
  png_set_gray_to_rgb(png);
  return true;
}

// `pixels`: rows of `channels` bytes a pixel; `row_bytes` of a row as it is in the file.
bool read_pixels(png_structp png, png_infop info, Reader& reader, size_t row_bytes, uint8_t* pixels,
                 size_t width, size_t height, size_t channels) {
  if (setjmp(reader.back)) return false;
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != width * channels)
    png_error(png, "rows of an unexpected length");
  reader.last_row_bytes = row_bytes + limits::kPngTailBytes;
  for (int pass = 0; pass < passes; ++pass) {
    for (size_t y = 0; y < height; ++y) {
      reader.last_row = pass == passes - 1 && y == height - 1;
      png_read_row(png, pixels + y * width * channels, nullptr);
    }
  }
  return true;
}

Error damaged(const Reader& reader) {
  return fail(Code::InvalidInput, "the image is {}: PNG: {}", reader.truncated ? "truncated" : "damaged", reader.message);
}

// The size comes first in every PNG; libpng's own refusal would not name it.
Result<> check_header(std::span<const std::byte> bytes) {
  const Bytes in(bytes);
  if (bytes.size() < 24 || in.be32(12) != 0x49484452) return {};  // "IHDR"
  if (in.be32(16) <= limits::kImageSide && in.be32(20) <= limits::kImageSide) return {};
  return make_image(in.be32(16), in.be32(20), "PNG").error();
}

// Blue, green, red, alpha, the colours multiplied by it, as iPhones have it: undone.
void from_apple(const std::vector<uint8_t>& pixels, Image* image) {
  for (size_t i = 0; i < image->rgb.size() / 3; ++i) {
    const unsigned alpha = pixels[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const unsigned shade = pixels[4 * i + 2 - c];
      image->rgb[3 * i + c] =
          static_cast<uint8_t>(alpha == 0 ? 0 : std::min(255u, (shade * 255 + alpha / 2) / alpha));
    }
  }
}

Result<Image> decode(std::span<const std::byte> bytes, bool apple, bool truncated) {
  Reader reader;
  reader.truncated = truncated;
  reader.next = bytes.data();
  reader.left = bytes.size();
  struct Owner {
    png_structp png = nullptr;
    png_infop info = nullptr;
    ~Owner() { png_destroy_read_struct(&png, &info, nullptr); }
  } owner;
  owner.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (!owner.png) return fail(Code::Internal, "libpng: cannot start");
  owner.info = png_create_info_struct(owner.png);
  if (!owner.info) return fail(Code::Internal, "libpng: cannot start");
  if (!read_header(owner.png, owner.info, reader, apple)) return damaged(reader);
  VERGE_TRY(check_size(png_get_image_width(owner.png, owner.info), png_get_image_height(owner.png, owner.info), "PNG"));
  const size_t row_bytes = png_get_rowbytes(owner.png, owner.info);
  // Nothing is allocated for pixels that the file cannot hold: deflate packs 1032 bytes into one at most.
  constexpr uint64_t kDeflateMost = 1032;
  if (row_bytes * png_get_image_height(owner.png, owner.info) / kDeflateMost > reader.left) {
    reader.truncated = true;
    std::snprintf(reader.message, sizeof reader.message, "the file is too short for its size in pixels");
    return damaged(reader);
  }
  VERGE_ASSIGN(image, make_image(png_get_image_width(owner.png, owner.info), png_get_image_height(owner.png, owner.info), "PNG"));
  const auto width = static_cast<size_t>(image.width), height = static_cast<size_t>(image.height);
  std::vector<uint8_t> with_alpha(apple ? width * height * 4 : 0);
  if (!read_pixels(owner.png, owner.info, reader, row_bytes, apple ? with_alpha.data() : image.rgb.data(),
                   width, height, apple ? 4 : 3))
    return damaged(reader);
  if (apple) from_apple(with_alpha, &image);
  return image;
}

}  // namespace

Result<Image> decode_png(std::span<const std::byte> bytes) {
  VERGE_TRY(check_header(bytes));
  VERGE_ASSIGN(mended, mend_png(bytes));
  if (!mended) return decode(bytes, false, false);
  VERGE_TRY(check_header(mended->bytes));
  return decode(mended->bytes, mended->apple, mended->truncated);
}

}  // namespace verge::media
