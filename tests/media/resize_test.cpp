// Resizes against Pillow's, bit for bit.
#include "media/resize.h"

#include <gtest/gtest.h>

#include "tests/media/ppm.h"
#include "tests/paths.h"

namespace verge::media {
namespace {

const std::filesystem::path kImages = std::filesystem::path(verge::test_data_folder()) / "images";

TEST(Resize, EveryFilterAtEverySizeHasPillowsBits) {
  const Image picture = read_ppm(kImages / "picture.ppm");
  const std::pair<const char*, Filter> filters[] = {{"nearest", Filter::Nearest}, {"box", Filter::Box},         {"bilinear", Filter::Bilinear},
                                                    {"hamming", Filter::Hamming}, {"bicubic", Filter::Bicubic}, {"lanczos", Filter::Lanczos}};
  const std::pair<int, int> sizes[] = {{30, 20}, {100, 90}, {61, 17}, {7, 47}, {3, 90}};
  for (const auto& [name, filter] : filters) {
    for (const auto& [width, height] : sizes) {
      const Image expected = read_ppm(kImages / fmt::format("resize-{}-{}x{}.ppm", name, width, height));
      const Image got = resize(picture, width, height, filter);
      ASSERT_EQ(got.width, width);
      ASSERT_EQ(got.height, height);
      EXPECT_EQ(got.rgb, expected.rgb) << name << " " << width << " x " << height;
    }
  }
}

TEST(Resize, ABoxBetweenPixelsHasPillowsBits) {
  const Image picture = read_ppm(kImages / "picture.ppm");
  EXPECT_EQ(resize(picture, 24, 24, Filter::Bicubic, {10.5, 3.25, 50.75, 44}).rgb, read_ppm(kImages / "box-bicubic-24x24.ppm").rgb);
}

TEST(Resize, TheSameSizeIsTheSamePicture) {
  const Image picture = read_ppm(kImages / "picture.ppm");
  EXPECT_EQ(resize(picture, picture.width, picture.height, Filter::Bicubic).rgb, picture.rgb);
}

TEST(CentreCrop, TakesTheMiddleAndPadsWhatIsMissing) {
  const Image picture = read_ppm(kImages / "picture.ppm");  // 61 x 47
  const Image inner = centre_crop(picture, 20, 20);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 60; ++x) ASSERT_EQ(inner.row(y)[x], picture.row(13 + y)[20 * 3 + x]);
  }
  const Image outer = centre_crop(picture, 64, 50);  // margins 2 and 1 left and right, 2 and 1 above and below
  EXPECT_EQ(outer.row(1)[100], 0);
  EXPECT_EQ(outer.row(2)[2 * 3 + 1], picture.row(0)[1]);
  EXPECT_EQ(outer.row(49)[30], 0);
  EXPECT_EQ(outer.row(48)[(2 + 60) * 3], picture.row(46)[60 * 3]);
}

}  // namespace
}  // namespace verge::media
