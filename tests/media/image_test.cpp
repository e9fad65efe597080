// Every encoding against Pillow's pixels, and what hostile bytes get.
#include "media/image.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "support/limits.h"
#include "tests/media/ppm.h"
#include "tests/paths.h"

namespace verge::media {
namespace {

namespace fs = std::filesystem;
const fs::path kImages = fs::path(verge::test_data_folder()) / "images";

std::vector<std::string> encoded() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(kImages)) {
    if (file.path().extension() != ".ppm" && file.path().extension() != ".md") names.push_back(file.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class DecodeTest : public testing::TestWithParam<std::string> {};

TEST_P(DecodeTest, PixelsArePillows) {
  const auto image = decode_image(read_file(kImages / GetParam()));
  ASSERT_TRUE(image.ok()) << image.error().message;
  const Image expected = read_ppm(kImages / (GetParam() + ".ppm"));
  ASSERT_EQ(image->width, expected.width);
  ASSERT_EQ(image->height, expected.height);
  int worst = 0;
  for (size_t i = 0; i < expected.rgb.size(); ++i) worst = std::max(worst, std::abs(int{image->rgb[i]} - int{expected.rgb[i]}));
  EXPECT_LE(worst, 1);  // lossy decoders differ by one between versions; the others have no slack to use
  if (!GetParam().ends_with(".jpg")) {
    EXPECT_EQ(worst, 0);
  }
}

// A part of a file is refused, or (a GIF or BMP whose tail is padding) the picture is whole; nothing else.
TEST_P(DecodeTest, TruncationIsRefused) {
  const auto bytes = read_file(kImages / GetParam());
  const auto whole = decode_image(bytes);
  ASSERT_TRUE(whole.ok());
  for (size_t size = 0; size < bytes.size(); size += 1 + size / 23) {
    const auto part = decode_image(std::span(bytes).first(size));
    if (part.ok()) {
      // A later frame is missing, or what follows the pixels.
      EXPECT_EQ(part->rgb, whole->rgb) << size << " of " << bytes.size() << " bytes";
    } else {
      EXPECT_EQ(part.error().code, Code::InvalidInput) << part.error().message;
      EXPECT_FALSE(part.error().message.empty());
    }
  }
}

TEST_P(DecodeTest, DamageNeverCrashes) {
  const auto bytes = read_file(kImages / GetParam());
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    auto damaged = bytes;
    for (int flips = 0; flips < 1 + round % 8; ++flips) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    const auto image = decode_image(damaged);
    if (image.ok()) {
      EXPECT_EQ(image->rgb.size(), static_cast<size_t>(image->width) * static_cast<size_t>(image->height) * 3);
    }
    else EXPECT_EQ(image.error().code, Code::InvalidInput) << image.error().message;
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Pillow, DecodeTest, testing::ValuesIn(encoded()), test_name);

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

TEST(Decode, SaysWhatIsNotAnImage) {
  for (std::string_view text : {"", "hello", "%PDF-1.7", "<svg/>"}) {
    const auto image = decode_image(bytes_of(text));
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code, Code::InvalidInput);
  }
  EXPECT_EQ(decode_image(bytes_of("plain text")).error().message, "not an image: JPEG, PNG, WebP, GIF and BMP are accepted");
}

std::vector<std::string> encoded_as(std::string_view extension) {
  std::vector<std::string> names = encoded();
  std::erase_if(names, [&](const std::string& name) { return !name.ends_with(extension); });
  return names;
}

// Bytes behind the end are no part of the picture.
TEST(Decode, WhatFollowsThePictureIsLeftOut) {
  for (const std::string& name : encoded()) {
    auto bytes = read_file(kImages / name);
    const auto whole = decode_image(bytes);
    for (char c : std::string_view("trailing \xff\xd8 garbage\r\n"))
      bytes.push_back(static_cast<std::byte>(c));
    const auto longer = decode_image(bytes);
    ASSERT_TRUE(longer.ok()) << name << ": " << longer.error().message;
    EXPECT_EQ(longer->rgb, whole->rgb) << name;
  }
}

// All pixels are there: with no end marker, and with half of one.
TEST(Decode, AJpegWithoutItsEndMarkerIsWhole) {
  for (const std::string& name : encoded_as(".jpg")) {
    const auto bytes = read_file(kImages / name);
    const auto whole = decode_image(bytes);
    ASSERT_EQ(bytes[bytes.size() - 2], std::byte{0xff}) << name;
    for (size_t cut : {1, 2}) {
      const auto part = decode_image(std::span(bytes).first(bytes.size() - cut));
      ASSERT_TRUE(part.ok()) << name << ": " << part.error().message;
      EXPECT_EQ(part->rgb, whole->rgb) << name;
    }
    for (size_t size : {bytes.size() / 2, bytes.size() - 12}) {
      const auto part = decode_image(std::span(bytes).first(size));
      ASSERT_FALSE(part.ok()) << name << " " << size;
      EXPECT_NE(part.error().message.find("truncated"), std::string::npos) << part.error().message;
    }
  }
}

// A progressive file that ends between two scans has every pixel, each only roughly.
TEST(Decode, AProgressiveJpegWithoutItsLastScansIsTruncated) {
  for (const char* name : {"progressive.jpg", "cmyk-progressive.jpg"}) {
    const auto bytes = read_file(kImages / name);
    int scans = 0;
    for (size_t i = 2; i + 1 < bytes.size(); ++i) {
      if (bytes[i] != std::byte{0xff} || bytes[i + 1] != std::byte{0xda} || scans++ == 0) continue;
      EXPECT_FALSE(decode_image(std::span(bytes).first(i)).ok())
          << name << " before scan " << scans;
    }
    EXPECT_GT(scans, 2);
  }
}

struct PngChunk {
  std::string name;
  size_t at, length;
};
std::vector<PngChunk> chunks_of(const std::vector<std::byte>& png) {
  std::vector<PngChunk> chunks;
  for (size_t at = 8; at + 12 <= png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(png[at + i]);
    chunks.push_back({std::string(reinterpret_cast<const char*>(&png[at + 4]), 4), at, length});
    at += 12 + length;
  }
  return chunks;
}

// Pillow reads these too: no end chunk, no check sum of the last pixels, a wrong sum of all but
// header and palette.
TEST(Decode, APngWithoutItsEndIsWhole) {
  for (const std::string& name : encoded_as(".png")) {
    const auto bytes = read_file(kImages / name);
    const auto whole = decode_image(bytes);
    const auto chunks = chunks_of(bytes);
    const auto last = std::find_if(chunks.rbegin(), chunks.rend(),
                                   [](const PngChunk& c) { return c.name == "IDAT"; });
    const size_t data_end = last->at + 8 + last->length;
    for (size_t size : {data_end, data_end + 2, data_end + 4, data_end + 9}) {
      const auto part = decode_image(std::span(bytes).first(size));
      ASSERT_TRUE(part.ok()) << name << ": " << part.error().message;
      EXPECT_EQ(part->rgb, whole->rgb) << name;
    }
    const auto part = decode_image(std::span(bytes).first(last->at + 8 + last->length / 2));
    ASSERT_FALSE(part.ok()) << name;
    EXPECT_NE(part.error().message.find("truncated"), std::string::npos) << part.error().message;
    auto damaged = bytes;
    for (const PngChunk& chunk : chunks) {
      if (chunk.name[0] >= 'a') damaged[chunk.at + 8 + chunk.length] ^= std::byte{1};
    }
    ASSERT_TRUE(decode_image(damaged).ok()) << name;
    EXPECT_EQ(decode_image(damaged)->rgb, whole->rgb) << name;
    for (const PngChunk& chunk : chunks) {
      const bool counts = chunk.name == "IHDR" || chunk.name == "PLTE";
      damaged = bytes;
      damaged[chunk.at + 8 + chunk.length] ^= std::byte{1};
      EXPECT_EQ(decode_image(damaged).ok(), !counts)
          << name << " with a wrong sum of " << chunk.name;
    }
  }
}

void put_chunk(std::vector<std::byte>* to, std::string_view name, std::span<const std::byte> data) {
  const auto be32 = [&](uLong value) {
    for (int shift = 24; shift >= 0; shift -= 8)
      to->push_back(static_cast<std::byte>(value >> shift & 0xff));
  };
  be32(data.size());
  const size_t start = to->size();
  for (char c : name) to->push_back(static_cast<std::byte>(c));
  to->insert(to->end(), data.begin(), data.end());
  be32(crc32(0, reinterpret_cast<const Bytef*>(to->data() + start),
             static_cast<uInt>(to->size() - start)));
}

// What Xcode makes of a PNG: rows of blue, green, red (and alpha, which the colours are multiplied
// by), deflated bare, in `pieces` chunks.
std::vector<std::byte> apple_png(const Image& image, bool alpha, size_t pieces) {
  const auto width = static_cast<size_t>(image.width), height = static_cast<size_t>(image.height);
  std::vector<std::byte> rows;
  for (size_t y = 0; y < height; ++y) {
    rows.push_back(std::byte{0});
    for (size_t x = 0; x < width; ++x) {
      const unsigned a = alpha ? (x % 4 == 3 ? 128 : 255) : 255;
      for (size_t c = 0; c < 3; ++c)
        rows.push_back(
            static_cast<std::byte>((image.rgb[(y * width + x) * 3 + 2 - c] * a + 127) / 255));
      if (alpha) rows.push_back(static_cast<std::byte>(a));
    }
  }
  std::vector<std::byte> deflated(rows.size() + 1000);
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(rows.data());
  stream.avail_in = static_cast<uInt>(rows.size());
  stream.next_out = reinterpret_cast<Bytef*>(deflated.data());
  stream.avail_out = static_cast<uInt>(deflated.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  deflated.resize(stream.total_out);
  deflateEnd(&stream);

  std::vector<std::byte> png = bytes_of("\x89PNG\r\n\x1a\n");
  put_chunk(&png, "CgBI", bytes_of(std::string("\x50\x00\x20\x02", 4)));
  std::vector<std::byte> header(13);
  for (int i = 0; i < 4; ++i) {
    header[static_cast<size_t>(i)] = static_cast<std::byte>(width >> (24 - 8 * i));
    header[static_cast<size_t>(i) + 4] = static_cast<std::byte>(height >> (24 - 8 * i));
  }
  header[8] = std::byte{8};
  header[9] = alpha ? std::byte{6} : std::byte{2};
  put_chunk(&png, "IHDR", header);
  for (size_t i = 0; i < pieces; ++i) {
    const size_t from = deflated.size() * i / pieces, to = deflated.size() * (i + 1) / pieces;
    put_chunk(&png, "IDAT", std::span(deflated).subspan(from, to - from));
  }
  put_chunk(&png, "IEND", {});
  return png;
}

TEST(Decode, AnIPhonesPngIsRead) {
  const Image whole = *decode_image(read_file(kImages / "rgb.png"));
  for (size_t pieces : {1, 3}) {
    const auto opaque = decode_image(apple_png(whole, false, pieces));
    ASSERT_TRUE(opaque.ok()) << opaque.error().message;
    EXPECT_EQ(opaque->rgb, whole.rgb);
    const auto see_through = decode_image(apple_png(whole, true, pieces));
    ASSERT_TRUE(see_through.ok()) << see_through.error().message;
    int worst = 0;
    for (size_t i = 0; i < whole.rgb.size(); ++i)
      worst = std::max(worst, std::abs(int{whole.rgb[i]} - int{see_through->rgb[i]}));
    EXPECT_LE(worst, 1);  // half transparent pixels have lost a bit
  }
  const auto bytes = apple_png(whole, true, 3);
  for (size_t size = 0; size < bytes.size() - 40; size += 1 + size / 19)
    EXPECT_FALSE(decode_image(std::span(bytes).first(size)).ok()) << size;
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    auto damaged = bytes;
    for (int flips = 0; flips < 1 + round % 8; ++flips)
      damaged[8 + random() % (damaged.size() - 8)] = static_cast<std::byte>(random());
    const auto image = decode_image(damaged);
    if (!image.ok()) {
      EXPECT_EQ(image.error().code, Code::InvalidInput) << image.error().message;
    }
  }
}

// 50,000 x 50,000 in the header of each format: refused by the header, nothing of that size is allocated.
TEST(Decode, HugeSizesAreRefusedByTheHeader) {
  const auto refused = [](std::vector<std::byte> bytes, const char* format) {
    const auto image = decode_image(bytes);
    ASSERT_FALSE(image.ok()) << format;
    EXPECT_EQ(image.error().code, Code::InvalidInput);
    EXPECT_NE(image.error().message.find("50000 x 50000 pixels"), std::string::npos) << format << ": " << image.error().message;
  };
  const auto put = [](std::vector<std::byte>* bytes, size_t at, std::initializer_list<int> values) {
    for (int value : values) (*bytes)[at++] = static_cast<std::byte>(value);
  };
  auto png = read_file(kImages / "rgb.png");
  put(&png, 16, {0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50});
  refused(png, "PNG");
  auto gif = read_file(kImages / "palette.gif");
  put(&gif, 6, {0x50, 0xc3, 0x50, 0xc3});
  refused(gif, "GIF");
  auto bmp = read_file(kImages / "rgb.bmp");
  put(&bmp, 18, {0x50, 0xc3, 0, 0, 0x50, 0xc3, 0, 0});
  refused(bmp, "BMP");
  auto jpeg = read_file(kImages / "baseline.jpg");
  for (size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) put(&jpeg, i + 5, {0xc3, 0x50, 0xc3, 0x50});
  }
  refused(jpeg, "JPEG");
}

// 8000 x 8001 is one row too many although each side is allowed.
TEST(Decode, TheAreaIsLimitedToo) {
  auto bmp = read_file(kImages / "rgb.bmp");
  const uint32_t sides[] = {8000, 8001};
  std::memcpy(&bmp[18], sides, sizeof sides);
  const auto image = decode_image(bmp);
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message.find("8000 x 8001 pixels"), std::string::npos) << image.error().message;
}

TEST(Decode, TooManyBytesAreTooLarge) {
  std::vector<std::byte> bytes(limits::kImageBytes + 1);
  const auto image = decode_image(bytes);
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, Code::TooLarge);
}

// Deflate's output as stored pieces would be too large for a test: a run of zeros of so many MiB.
std::vector<std::byte> zeros_packed(int mib) {
  std::vector<std::byte> out(static_cast<size_t>(mib) * 1100 + 100);
  z_stream stream{};
  deflateInit(&stream, 9);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  std::vector<Bytef> zeros(1 << 20);
  for (int i = 0; i < mib; ++i) {
    stream.next_in = zeros.data();
    stream.avail_in = static_cast<uInt>(zeros.size());
    deflate(&stream, i + 1 == mib ? Z_FINISH : Z_NO_FLUSH);
  }
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::vector<std::byte> png_of(uint32_t width, uint32_t height, int interlaced, std::span<const std::byte> data) {
  std::vector<std::byte> png;
  const auto u32 = [&](uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) png.push_back(static_cast<std::byte>(value >> shift));
  };
  const auto chunk = [&](std::string_view kind, std::span<const std::byte> bytes) {
    u32(static_cast<uint32_t>(bytes.size()));
    const size_t begin = png.size();
    for (char c : kind) png.push_back(static_cast<std::byte>(c));
    png.insert(png.end(), bytes.begin(), bytes.end());
    u32(static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(png.data() + begin), static_cast<uInt>(png.size() - begin))));
  };
  for (int byte : {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a}) png.push_back(static_cast<std::byte>(byte));
  std::vector<std::byte> header;
  for (uint32_t side : {width, height})
    for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<std::byte>(side >> shift));
  for (int byte : {8, 0, 0, 0, interlaced}) header.push_back(static_cast<std::byte>(byte));
  chunk("IHDR", header);
  chunk("IDAT", data);
  chunk("IEND", {});
  return png;
}

// 100 x 100 pixels whose stream goes on for 256 MiB after the last row: libpng would unpack it all.
TEST(Decode, APngWhosePixelsGoOnAfterTheLastRowIsRefused) {
  const auto data = zeros_packed(256);
  for (int interlaced : {0, 1}) {
    for (uint32_t side : {1u, 2u, 100u, 101u}) {
      const auto image = decode_image(png_of(side, side, interlaced, data));
      ASSERT_FALSE(image.ok()) << side << " interlaced " << interlaced;
      EXPECT_NE(image.error().message.find("go on after the last row"), std::string::npos) << image.error().message;
    }
  }
  EXPECT_TRUE(decode_image(png_of(1000, 1000, 0, zeros_packed(1))).ok());  // a few bytes more than the rows have are no bomb
}

// Files of some hundred bytes with tens of millions of pixels in their headers: no memory is taken for what cannot be there.
TEST(Decode, FilesTooShortForTheirPixelsAreRefusedByTheHeader) {
  const auto refused = [](const std::vector<std::byte>& bytes, const char* format) {
    const auto image = decode_image(bytes);
    ASSERT_FALSE(image.ok()) << format;
    EXPECT_NE(image.error().message.find("truncated"), std::string::npos) << format << ": " << image.error().message;
  };
  refused(png_of(7900, 7900, 0, zeros_packed(1)), "PNG");
  const auto put = [](std::vector<std::byte>* bytes, size_t at, std::initializer_list<int> values) {
    for (int value : values) (*bytes)[at++] = static_cast<std::byte>(value);
  };
  auto gif = read_file(kImages / "palette.gif");
  for (size_t i = 13; i + 9 < gif.size(); ++i) {
    if (gif[i] != std::byte{','}) continue;
    put(&gif, i + 1, {0, 0, 0, 0, 0x40, 0x1f, 0x40, 0x1f});
    break;
  }
  refused(gif, "GIF");
  auto bmp = read_file(kImages / "rgb.bmp");
  put(&bmp, 18, {0x40, 0x1f, 0, 0, 0x3f, 0x1f, 0, 0});
  refused(bmp, "BMP");
  auto jpeg = read_file(kImages / "baseline.jpg");
  jpeg.resize(std::min<size_t>(jpeg.size(), 4000));
  for (size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) put(&jpeg, i + 5, {0x1f, 0x3f, 0x1f, 0x40});
  }
  refused(jpeg, "JPEG");
}

// A progressive file whose last scan is repeated a thousand times: each would pass over all pixels.
TEST(Decode, AJpegOfAThousandScansIsRefused) {
  const auto bytes = read_file(kImages / "progressive.jpg");
  size_t last = 0;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == std::byte{0xff} && bytes[i + 1] == std::byte{0xda}) last = i;
  }
  ASSERT_GT(last, 0u);
  std::vector<std::byte> bomb(bytes.begin(), bytes.end() - 2);
  for (int i = 0; i < 1000; ++i) bomb.insert(bomb.end(), bytes.begin() + static_cast<std::ptrdiff_t>(last), bytes.end() - 2);
  bomb.insert(bomb.end(), bytes.end() - 2, bytes.end());
  const auto image = decode_image(bomb);
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message.find("scans"), std::string::npos) << image.error().message;
}

}  // namespace
}  // namespace verge::media
