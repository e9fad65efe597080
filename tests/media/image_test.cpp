// Every encoding against Pillow's pixels, and what hostile bytes get.
#include "media/image.h"

#include <gtest/gtest.h>

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
    if (image.ok()) EXPECT_EQ(image->rgb.size(), static_cast<size_t>(image->width) * static_cast<size_t>(image->height) * 3);
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
