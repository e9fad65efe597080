#include "media/png_mend.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "media/bytes.h"
#include "support/limits.h"

namespace verge::media {
namespace {

constexpr size_t kSignature = 8,
                 kAround = 12;  // bytes of a chunk around its data: length, name, check sum

struct Chunk {
  std::string_view name;
  std::span<const std::byte> data, whole;  // whole: with what is around the data
  bool cut = false;                        // the file ends within it
};

uint32_t check_sum(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// Calls visit(chunk) for each up to the end or to a cut one.
template <class Visit>
void visit_chunks(std::span<const std::byte> bytes, Visit&& visit) {
  const Bytes in(bytes);
  for (size_t at = kSignature; at + 8 <= bytes.size();) {
    const size_t length = in.be32(at), room = bytes.size() - at - 8;
    Chunk chunk;
    chunk.name = {reinterpret_cast<const char*>(bytes.data()) + at + 4, 4};
    chunk.data = bytes.subspan(at + 8, std::min(length, room));
    chunk.cut = length + 4 > room;
    chunk.whole = bytes.subspan(at, std::min(length, room) + (chunk.cut ? 8 : kAround));
    visit(chunk);
    if (chunk.cut || chunk.name == "IEND") return;
    at += kAround + length;
  }
}

void put_be32(uint32_t value, std::vector<std::byte>* out) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out->push_back(static_cast<std::byte>(value >> shift & 0xFF));
}

void put_chunk(std::string_view name, std::span<const std::byte> data,
               std::vector<std::byte>* out) {
  put_be32(static_cast<uint32_t>(data.size()), out);
  const size_t start = out->size();
  for (char c : name) out->push_back(static_cast<std::byte>(c));
  out->insert(out->end(), data.begin(), data.end());
  put_be32(check_sum(std::span(*out).subspan(start)), out);
}

// Bytes of all rows at most, each with its filter's byte; interlaced pictures have fewer than two
// rows for one.
uint64_t pixel_bytes(std::span<const std::byte> header) {
  const Bytes in(header);
  const uint64_t width = in.be32(0), height = in.be32(4),
                 pixels = std::min(width * height, limits::kImagePixels);
  return 8 * pixels + 4 * std::min(height, limits::kImageSide) + 64;  // 16 bits a channel
}

Error damaged(const char* what) {
  return fail(Code::InvalidInput, "the image is damaged: PNG: {}", what);
}

// zlib's header in front, and behind it the sum of what the data inflate to.
Result<std::vector<std::byte>> with_zlib_frame(const std::vector<std::byte>& deflated,
                                               uint64_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) return fail(Code::Internal, "zlib: cannot start");
  struct Close {
    z_stream& stream;
    ~Close() { inflateEnd(&stream); }
  } close{stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(deflated.data()));
  stream.avail_in = static_cast<uInt>(deflated.size());
  std::array<Bytef, 32 << 10> piece;
  uLong sum = adler32(0, nullptr, 0);
  uint64_t total = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_BUF_ERROR || (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0))
      break;  // cut: libpng tells how much is missing
    if (status != Z_OK && status != Z_STREAM_END) return damaged("its pixels do not inflate");
    const size_t made = piece.size() - stream.avail_out;
    sum = adler32(sum, piece.data(), static_cast<uInt>(made));
    if ((total += made) > most) return damaged("its pixels are more than its header says");
  }
  std::vector<std::byte> framed{std::byte{0x78}, std::byte{0x01}};
  framed.insert(framed.end(), deflated.begin(), deflated.end() - stream.avail_in);
  put_be32(static_cast<uint32_t>(sum), &framed);
  return framed;
}

}  // namespace

Result<std::optional<MendedPng>> mend_png(std::span<const std::byte> bytes) {
  MendedPng out;
  // What is wrong shows in the names alone.
  const Bytes in(bytes);
  size_t last = 0;
  const auto is = [&](size_t at, std::string_view name) {
    return at >= kSignature && std::equal(name.begin(), name.end(),
                                          reinterpret_cast<const char*>(bytes.data()) + at + 4);
  };
  for (size_t at = kSignature; at + 8 <= bytes.size(); at += kAround + in.be32(at)) {
    last = at;
    const size_t length = in.be32(at);
    const bool checked =
        (is(at, "IHDR") || is(at, "PLTE")) && length + kAround <= bytes.size() - at;
    if (checked && in.be32(at + 8 + length) != check_sum(bytes.subspan(at + 4, length + 4)))
      return damaged("a wrong check sum");
  }
  out.apple = last > 0 && is(kSignature, "CgBI");
  out.truncated = is(last, "IDAT") && bytes.size() - last - 8 < size_t{in.be32(last)} + 4;
  if (!out.apple && !out.truncated) return std::optional<MendedPng>();

  std::vector<std::byte> pixels;
  std::optional<uint64_t> most;
  bool bgr = false;
  bool placed = false;
  out.bytes.assign(bytes.begin(), bytes.begin() + kSignature);
  size_t place = 0;  // of the pixels among the other chunks
  visit_chunks(bytes, [&](const Chunk& chunk) {
    if (chunk.name == "IHDR" && chunk.data.size() >= 13) {
      most = pixel_bytes(chunk.data);
      bgr = (static_cast<int>(chunk.data[9]) & 3) == 2;  // true colour: no palette, no grey
    }
    if (chunk.name == "IDAT") {
      if (!std::exchange(placed, true)) place = out.bytes.size();
      pixels.insert(pixels.end(), chunk.data.begin(), chunk.data.end());
    } else if (chunk.name != "CgBI" && chunk.name != "IEND") {
      out.bytes.insert(out.bytes.end(), chunk.whole.begin(), chunk.whole.end());
    }
  });
  if (!placed || !most) return std::optional<MendedPng>();
  if (out.apple) {
    VERGE_ASSIGN(framed, with_zlib_frame(pixels, *most));
    pixels = std::move(framed);
    out.apple = bgr;
  }
  std::vector<std::byte> chunk;
  put_chunk("IDAT", pixels, &chunk);
  out.bytes.insert(out.bytes.begin() + static_cast<std::ptrdiff_t>(place), chunk.begin(),
                   chunk.end());
  put_chunk("IEND", {}, &out.bytes);
  return std::optional<MendedPng>(std::move(out));
}

}  // namespace verge::media
