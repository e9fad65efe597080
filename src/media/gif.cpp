// The first frame of a GIF. A file is a screen (size, palette), then blocks; a frame is a rectangle on the screen with
// LZW-coded palette indices. Source: the GIF89a specification (CompuServe, 1990), appendix F for LZW.
// As Pillow shows it: what the frame leaves uncovered has the background's colour, transparent pixels keep the colour
// of their palette entry.
#include <algorithm>
#include <array>
#include <cstring>

#include "media/bytes.h"
#include "media/decoders.h"

namespace verge::media {
namespace {

constexpr int kCodes = 4096;

Error damaged(const char* what) { return fail(Code::InvalidInput, "the image is damaged: GIF: {}", what); }
Error truncated() { return fail(Code::InvalidInput, "the image is truncated: GIF: the file ends early"); }

using Palette = std::array<uint8_t, 256 * 3>;

void read_palette(const Bytes& in, size_t at, size_t colours, Palette* palette) {
  palette->fill(0);
  for (size_t i = 0; i < colours * 3; ++i) (*palette)[i] = in.u8(at + i);
}

// A chain of blocks of up to 255 bytes, read as one stream of bits, lowest first.
class Bits {
 public:
  Bits(const Bytes& in, size_t at) : in_(in), at_(at) {}
  // -1 at the end of the chain.
  int take(int count) {
    while (held_ < count) {
      if (left_ == 0) {
        left_ = at_ < in_.size() ? in_.u8(at_++) : 0;
        if (left_ == 0) return -1;
      }
      if (at_ >= in_.size()) return -1;
      bits_ |= static_cast<uint32_t>(in_.u8(at_++)) << held_;
      held_ += 8;
      --left_;
    }
    const int value = static_cast<int>(bits_ & ((1u << count) - 1));
    bits_ >>= count;
    held_ -= count;
    return value;
  }

 private:
  const Bytes& in_;
  size_t at_;
  size_t left_ = 0;
  uint32_t bits_ = 0;
  int held_ = 0;
};

// Fills `out`; false where the stream ends before it is full.
Result<bool> read_lzw(const Bytes& in, size_t at, std::vector<uint8_t>* out) {
  const int root = in.u8(at);
  if (root < 1 || root > 8) return damaged("a code size out of range");
  const int clear = 1 << root, end = clear + 1;
  std::array<uint16_t, kCodes> prefix{};
  std::array<uint8_t, kCodes> last{}, first{};
  std::array<uint8_t, kCodes> text;
  for (int i = 0; i < clear; ++i) last[static_cast<size_t>(i)] = first[static_cast<size_t>(i)] = static_cast<uint8_t>(i);
  Bits bits(in, at + 1);
  int width = root + 1, next = end + 1, before = -1;
  for (size_t filled = 0; filled < out->size();) {
    const int code = bits.take(width);
    if (code < 0 || code == end) return false;
    if (code == clear) {
      width = root + 1;
      next = end + 1;
      before = -1;
      continue;
    }
    if (code > next || (code == next && before < 0) || (before < 0 && code >= clear)) return damaged("a code out of order");
    // The text of `code`, last byte first. A code that is only now being defined is the text before plus its own first byte.
    size_t length = 0;
    int walk = code;
    if (code == next) {
      text[length++] = first[static_cast<size_t>(before)];
      walk = before;
    }
    while (walk >= clear && length < text.size()) {
      text[length++] = last[static_cast<size_t>(walk)];
      walk = prefix[static_cast<size_t>(walk)];
    }
    if (length == text.size()) return damaged("a string too long");
    text[length++] = static_cast<uint8_t>(walk);
    const uint8_t start = static_cast<uint8_t>(walk);
    if (before >= 0 && next < kCodes) {
      prefix[static_cast<size_t>(next)] = static_cast<uint16_t>(before);
      last[static_cast<size_t>(next)] = start;
      first[static_cast<size_t>(next)] = first[static_cast<size_t>(before)];
      ++next;
      if (next == 1 << width && width < 12) ++width;
    }
    before = code;
    const size_t take = std::min(length, out->size() - filled);
    for (size_t i = 0; i < take; ++i) (*out)[filled + i] = text[length - 1 - i];
    filled += take;
  }
  return true;
}

// Rows come as every 8th from 0, every 8th from 4, every 4th from 2, every 2nd from 1.
size_t interlaced_row(size_t i, size_t height) {
  constexpr size_t kFirst[] = {0, 4, 2, 1}, kStep[] = {8, 8, 4, 2};
  for (size_t pass = 0; pass < 4; ++pass) {
    const size_t rows = height > kFirst[pass] ? (height - kFirst[pass] + kStep[pass] - 1) / kStep[pass] : 0;
    if (i < rows) return kFirst[pass] + i * kStep[pass];
    i -= rows;
  }
  return 0;
}

Result<Image> read_frame(const Bytes& in, size_t at, Palette palette, uint8_t background, Image image) {
  const size_t left = in.le16(at), top = in.le16(at + 2), width = in.le16(at + 4), height = in.le16(at + 6);
  const uint8_t flags = in.u8(at + 8);
  if (!in.ok()) return truncated();
  at += 9;
  if (flags & 0x80) {
    const size_t colours = size_t{2} << (flags & 7);
    read_palette(in, at, colours, &palette);
    at += colours * 3;
  }
  if (width == 0 || height == 0) return damaged("an empty frame");
  const size_t screen_width = static_cast<size_t>(image.width), screen_height = static_cast<size_t>(image.height);
  if (left + width > screen_width || top + height > screen_height) return damaged("a frame outside the picture");
  for (size_t i = 0; i < screen_width * screen_height; ++i) std::copy_n(&palette[size_t{background} * 3], 3, &image.rgb[i * 3]);
  std::vector<uint8_t> indices(width * height);
  VERGE_ASSIGN(whole, read_lzw(in, at, &indices));
  if (!whole || !in.ok()) return truncated();
  for (size_t i = 0; i < height; ++i) {
    const size_t y = flags & 0x40 ? interlaced_row(i, height) : i;
    uint8_t* to = image.row(static_cast<int>(top + y)) + left * 3;
    for (size_t x = 0; x < width; ++x, to += 3) std::copy_n(&palette[size_t{indices[i * width + x]} * 3], 3, to);
  }
  return image;
}

}  // namespace

Result<Image> decode_gif(std::span<const std::byte> bytes) {
  const Bytes in(bytes);
  if (bytes.size() < 13) return truncated();
  size_t width = in.le16(6), height = in.le16(8);
  const uint8_t flags = in.u8(10), background = in.u8(11);
  size_t at = 13;
  Palette palette;
  for (size_t i = 0; i < palette.size(); ++i) palette[i] = static_cast<uint8_t>(i / 3);
  if (flags & 0x80) {
    const size_t colours = size_t{2} << (flags & 7);
    read_palette(in, at, colours, &palette);
    at += colours * 3;
  }
  for (;;) {
    const uint8_t kind = in.u8(at++);
    if (!in.ok()) return truncated();
    if (kind == ',') {
      // Old writers leave the screen smaller than the frame, or without a size.
      width = std::max(width, size_t{in.le16(at)} + in.le16(at + 4));
      height = std::max(height, size_t{in.le16(at + 2)} + in.le16(at + 6));
      VERGE_TRY(check_size(width, height, "GIF"));
      // Before pixels are allocated: a code of 12 bits at most stands for 4096 pixels at most.
      constexpr uint64_t kMostOfByte = 4096 * 8 / 12 + 1;
      if (uint64_t{in.le16(at + 4)} * in.le16(at + 6) / kMostOfByte > in.size() - at) return truncated();
      VERGE_ASSIGN(image, make_image(width, height, "GIF"));
      return read_frame(in, at, palette, flags & 0x80 ? background : 0, std::move(image));
    }
    if (kind == ';') return damaged("no frame");
    if (kind != '!') return damaged("an unknown block");
    ++at;  // an extension's label
    for (size_t length; (length = in.u8(at++)) != 0;) {
      at += length;
      if (!in.ok()) return truncated();
    }
  }
}

}  // namespace verge::media
