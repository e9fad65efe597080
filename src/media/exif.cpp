// EXIF is a TIFF file inside an APP1 segment (JPEG), an eXIf chunk (PNG) or an EXIF chunk (WebP). Only the first
// directory's tag 0x0112 is read.
#include "media/exif.h"

#include <algorithm>
#include <cstring>

#include "media/bytes.h"

namespace verge::media {
namespace {

using Part = std::span<const std::byte>;

bool matches(Part part, std::string_view text) { return part.size() >= text.size() && std::memcmp(part.data(), text.data(), text.size()) == 0; }

Part jpeg_exif(Part bytes) {
  const Bytes in(bytes);
  size_t at = 2;
  while (at + 4 <= bytes.size() && in.u8(at) == 0xff) {
    const uint8_t marker = in.u8(at + 1);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // pixels begin, or the end
    const size_t length = in.be16(at + 2);
    if (length < 2) break;
    const Part segment = in.part(at + 4, length - 2);
    if (marker == 0xe1 && matches(segment, std::string_view("Exif\0\0", 6))) return segment.subspan(6);
    at += 2 + length;
  }
  return {};
}

Part png_exif(Part bytes) {
  const Bytes in(bytes);
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const size_t length = in.be32(at);
    if (matches(in.part(at + 4, 4), "eXIf")) return in.part(at + 8, length);
    at += 12 + length;
  }
  return {};
}

Part webp_exif(Part bytes) {
  const Bytes in(bytes);
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t length = in.le32(at + 4);
    if (matches(in.part(at, 4), "EXIF")) {
      const Part exif = in.part(at + 8, length);
      return matches(exif, std::string_view("Exif\0\0", 6)) ? exif.subspan(6) : exif;
    }
    at += 8 + length + length % 2;
  }
  return {};
}

int tiff_orientation(Part tiff) {
  const Bytes in(tiff);
  const bool little = matches(tiff, "II"), big = matches(tiff, "MM");
  if (!little && !big) return 1;
  const auto u16 = [&](size_t at) { return little ? in.le16(at) : in.be16(at); };
  const auto u32 = [&](size_t at) { return little ? in.le32(at) : in.be32(at); };
  if (u16(2) != 42) return 1;
  const size_t directory = u32(4), entries = u16(directory);
  for (size_t i = 0; i < entries && in.ok(); ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (u16(entry) != 0x0112) continue;
    const uint32_t value = u16(entry + 2) == 3 ? u16(entry + 8) : u32(entry + 8);  // SHORT, or LONG of odd writers
    return in.ok() && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(Part bytes, ImageFormat format) {
  switch (format) {
    case ImageFormat::Jpeg: return tiff_orientation(jpeg_exif(bytes));
    case ImageFormat::Png: return tiff_orientation(png_exif(bytes));
    case ImageFormat::WebP: return tiff_orientation(webp_exif(bytes));
    default: return 1;
  }
}

Image upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transposed = orientation >= 5;
  // Where the upright picture's (x, y) is found in the stored one, before a transposition.
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out;
  out.width = transposed ? image.height : image.width;
  out.height = transposed ? image.width : image.height;
  out.rgb.resize(image.rgb.size());
  for (int y = 0; y < out.height; ++y) {
    uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += 3) {
      int sx = transposed ? y : x, sy = transposed ? x : y;
      if (mirror_x) sx = image.width - 1 - sx;
      if (mirror_y) sy = image.height - 1 - sy;
      std::copy_n(image.row(sy) + 3 * static_cast<size_t>(sx), 3, to);
    }
  }
  return out;
}

}  // namespace verge::media
