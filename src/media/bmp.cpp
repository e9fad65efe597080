// Windows bitmaps: 1, 4, 8, 16, 24 and 32 bits a pixel, RLE4 and RLE8, colour masks, rows from the bottom or the top.
// Source: "Bitmap Storage" of the Windows GDI documentation.
#include <algorithm>
#include <array>
#include <bit>

#include "media/bytes.h"
#include "media/decoders.h"

namespace verge::media {
namespace {

Error damaged(const char* what) { return fail(Code::InvalidInput, "the image is damaged: BMP: {}", what); }
Error truncated() { return fail(Code::InvalidInput, "the image is truncated: BMP: the file ends early"); }

enum Compression : uint32_t { kPlain = 0, kRle8 = 1, kRle4 = 2, kMasks = 3, kMasksWithAlpha = 6 };

struct Header {
  size_t pixels = 0;  // offset of the first row
  size_t width = 0, height = 0;
  bool from_top = false;
  uint32_t bits = 0;
  uint32_t compression = kPlain;
  std::array<uint32_t, 3> masks{};
  std::array<std::array<uint8_t, 3>, 256> palette{};
};

Result<Header> read_header(const Bytes& in) {
  Header h;
  h.pixels = in.le32(10);
  const size_t size = in.le32(14);
  size_t entry = 4, colours = 0;
  if (size == 12) {  // OS/2
    h.width = in.le16(18);
    h.height = in.le16(20);
    h.bits = in.le16(24);
    entry = 3;
  } else if (size >= 40 && size <= 1024) {
    const auto width = static_cast<int32_t>(in.le32(18)), height = static_cast<int32_t>(in.le32(22));
    if (width <= 0) return damaged("no width");
    h.width = static_cast<size_t>(width);
    h.from_top = height < 0;
    h.height = static_cast<size_t>(h.from_top ? -int64_t{height} : int64_t{height});
    h.bits = in.le16(28);
    h.compression = in.le32(30);
    colours = in.le32(46);
  } else {
    return damaged("a header of an unknown kind");
  }
  if (!in.ok()) return truncated();
  constexpr std::array<uint32_t, 6> kBits = {1, 4, 8, 16, 24, 32};
  if (std::ranges::find(kBits, h.bits) == kBits.end()) return damaged("an unknown number of bits a pixel");
  const bool masked = h.compression == kMasks || h.compression == kMasksWithAlpha;
  const bool fits = h.compression == kPlain || (h.compression == kRle8 && h.bits == 8) || (h.compression == kRle4 && h.bits == 4) ||
                    (masked && (h.bits == 16 || h.bits == 32));
  if (!fits) return damaged("an unsupported compression");
  size_t table = 14 + size;
  if (masked) {
    for (size_t i = 0; i < 3; ++i) h.masks[i] = in.le32(54 + 4 * i);  // after a short header or part of a long one
    if (size == 40) table += h.compression == kMasksWithAlpha ? 16 : 12;
    for (uint32_t mask : h.masks) {
      if (mask == 0 || ((mask >> std::countr_zero(mask)) & ((mask >> std::countr_zero(mask)) + 1)) != 0) return damaged("colour masks with gaps");
    }
  } else if (h.bits == 16) {
    h.masks = {0x7c00, 0x03e0, 0x001f};
  } else {
    h.masks = {0xff0000, 0xff00, 0xff};
  }
  if (h.bits <= 8) {
    const size_t most = size_t{1} << h.bits;
    if (colours == 0 || colours > most) colours = most;
    for (size_t i = 0; i < colours; ++i) h.palette[i] = {in.u8(table + i * entry + 2), in.u8(table + i * entry + 1), in.u8(table + i * entry)};
  }
  return in.ok() ? Result<Header>(h) : truncated();
}

uint8_t channel(uint32_t pixel, uint32_t mask) {
  const int shift = std::countr_zero(mask);
  const uint32_t top = mask >> shift;
  return static_cast<uint8_t>(uint64_t{(pixel & mask) >> shift} * 255 / top);
}

Result<Image> read_plain(const Bytes& in, const Header& h, Image image) {
  const size_t stride = (h.width * h.bits + 31) / 32 * 4;
  if (h.pixels > in.size() || stride * h.height > in.size() - h.pixels + stride) return truncated();  // the last row's padding may be missing
  for (size_t y = 0; y < h.height; ++y) {
    const size_t row = h.pixels + (h.from_top ? y : h.height - 1 - y) * stride;
    uint8_t* to = image.row(static_cast<int>(y));
    for (size_t x = 0; x < h.width; ++x, to += 3) {
      if (h.bits <= 8) {
        const size_t bit = x * h.bits, shift = 8 - h.bits - bit % 8;
        const size_t index = in.u8(row + bit / 8) >> shift & ((1u << h.bits) - 1);
        std::copy_n(h.palette[index].data(), 3, to);
      } else if (h.bits == 24) {
        for (size_t c = 0; c < 3; ++c) to[c] = in.u8(row + x * 3 + 2 - c);
      } else {
        const uint32_t pixel = h.bits == 16 ? in.le16(row + x * 2) : in.le32(row + x * 4);
        for (size_t c = 0; c < 3; ++c) to[c] = channel(pixel, h.masks[c]);
      }
    }
  }
  return in.ok() ? Result<Image>(std::move(image)) : truncated();
}

// Pairs (count, value), or 0 with an escape: 0 end of row, 1 end of picture, 2 move, n pixels as they are.
Result<Image> read_rle(const Bytes& in, const Header& h, Image image) {
  const bool nibbles = h.compression == kRle4;
  size_t at = h.pixels, x = 0, y = 0;
  for (size_t i = 0; i < h.width * h.height; ++i) std::copy_n(h.palette[0].data(), 3, &image.rgb[i * 3]);
  const auto put = [&](size_t index) {
    if (x < h.width && y < h.height) std::copy_n(h.palette[index].data(), 3, image.row(static_cast<int>(h.from_top ? y : h.height - 1 - y)) + x * 3);
    ++x;
  };
  while (y < h.height) {
    const size_t count = in.u8(at), value = in.u8(at + 1);
    if (!in.ok()) return truncated();
    at += 2;
    if (count > 0) {
      for (size_t i = 0; i < count; ++i) put(!nibbles ? value : i % 2 == 0 ? value >> 4 : value & 15);
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      x += in.u8(at);
      y += in.u8(at + 1);
      at += 2;
    } else {
      for (size_t i = 0; i < value; ++i) {
        const uint8_t byte = in.u8(at + (nibbles ? i / 2 : i));
        put(!nibbles ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
      }
      const size_t bytes = nibbles ? (value + 1) / 2 : value;
      at += bytes + bytes % 2;
    }
  }
  return image;
}

}  // namespace

Result<Image> decode_bmp(std::span<const std::byte> bytes) {
  const Bytes in(bytes);
  VERGE_ASSIGN(header, read_header(in));
  const bool packed = header.compression == kRle8 || header.compression == kRle4;
  VERGE_TRY(check_size(header.width, header.height, "BMP"));
  // Before pixels are allocated. The last row's padding may be missing.
  if (!packed && (header.width * header.bits + 7) / 8 * header.height > in.size()) return truncated();
  VERGE_ASSIGN(image, make_image(header.width, header.height, "BMP"));
  return packed ? read_rle(in, header, std::move(image)) : read_plain(in, header, std::move(image));
}

}  // namespace verge::media
