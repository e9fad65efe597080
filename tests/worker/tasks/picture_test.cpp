// From a file's bytes to labels: what the reference's preprocessing and network make of the same picture.
#include "worker/tasks/picture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "engine/open.h"
#include "tests/engine/models/images/harness.h"
#include "tests/media/ppm.h"
#include "tests/paths.h"

namespace verge::worker {
namespace {

namespace fs = std::filesystem;
using media::read_file;
const fs::path kData = verge::test_data_folder();

std::vector<std::string> models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kData / "reference/images")) {
    if (fs::is_directory(entry.path())) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class PreparationTest : public testing::TestWithParam<std::string> {};

// The preparation of each model's own processor, to the bit.
TEST_P(PreparationTest, PixelsAreTheProcessors) {
  const fs::path folder = kData / "reference/images" / GetParam();
  const auto file = engine::open_image_file(folder.string());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const media::Image expected = media::read_ppm(folder / "prepared.ppm");
  const auto prepared = prepare_picture(read_file(kData / "images/rgb.png"), (*file)->preparation);
  ASSERT_TRUE(prepared.ok()) << prepared.error().message;
  EXPECT_EQ(prepared->width, 61);
  EXPECT_EQ(prepared->height, 47);
  ASSERT_EQ(prepared->pixels.width, expected.width);
  ASSERT_EQ(prepared->pixels.height, expected.height);
  EXPECT_EQ(prepared->pixels.rgb, expected.rgb);
}

INSTANTIATE_TEST_SUITE_P(Reference, PreparationTest, testing::ValuesIn(models()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// Trained weights (tests/data/models/README): logits by an independent implementation.
TEST(TrainedResnet, CifarPicturesHaveTheReferencesScores) {
  const fs::path folder = kData / "models/resnet20-cifar10";
  auto backend = engine::make_cpu_backend({2, ""});
  ASSERT_TRUE(backend.ok());
  auto model = engine::open_as<std::unique_ptr<engine::ImageModel>>(folder.string(), **backend, {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  const json::value cases = engine::read_json_file(folder / "expected.json");
  for (const json::value& one : cases.as_array()) {
    const auto expected = engine::numbers_of(one.at("logits"));
    const auto picture = prepare_picture(read_file(folder / std::string(one.at("image").as_string())), (*model)->info().preparation);
    ASSERT_TRUE(picture.ok()) << picture.error().message;
    std::vector<float> logits(expected.size());
    const engine::Picture view = picture->view();
    ASSERT_TRUE((*model)->classify({&view, 1}, logits.data()).ok());
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 2e-3) << one.at("image");
    const std::vector<protocol::ClassScore> answer = image_classes(logits, (*model)->info().labels).classes;
    ASSERT_EQ(answer.size(), 5u);
    EXPECT_EQ(answer[0].label, one.at("label").as_string());
    EXPECT_NEAR(answer[0].score, one.at("score").to_number<double>(), 1e-4);
  }
}

TEST(ClassificationAnswer, IsASoftmaxBestFirst) {
  const float logits[] = {1, 3, 2, 3, -1, 0, 2.5f};
  const std::vector<protocol::ClassScore> answer = image_classes(logits, {"a", "b", "c", "d", "e", "f", "g"}).classes;
  ASSERT_EQ(answer.size(), 5u);
  const char* labels[] = {"b", "d", "g", "c", "a"};
  double sum = 0, before = 2;
  for (float logit : logits) sum += std::exp(logit);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(answer[i].label, labels[i]);
    EXPECT_LE(answer[i].score, before);
    before = answer[i].score;
  }
  EXPECT_NEAR(answer[0].score, std::exp(3.0) / sum, 1e-7);
  EXPECT_EQ(image_classes(std::span(logits, 2), {"a", "b"}).classes.size(), 2u);
}

TEST(DetectionAnswer, BoxesArePixelsOfTheOriginal) {
  const std::vector<protocol::FoundObject> answer = found_objects({{1, 0.5f, 0.1f, 0.2f, 0.5f, 1.0f}, {0, 0.9f, 0, 0, 1, 1}}, {"cat", "remote"}, 640, 480).objects;
  EXPECT_EQ(answer[0], (protocol::FoundObject{"cat", 0.9f, 0, 0, 640, 480}));
  EXPECT_EQ(answer[1], (protocol::FoundObject{"remote", 0.5f, 64, 96, 320, 480}));
}

// 30,000 x 1 scaled until its short side has hundreds of pixels would be millions of them.
TEST(Preparation, ANeedleIsRefused) {
  std::vector<std::byte> bmp = read_file(kData / "images/bits.bmp");
  const int32_t sides[] = {30000, 1};
  std::memcpy(&bmp[18], sides, sizeof sides);
  bmp.resize(62 + 30000 / 8 + 8);
  engine::ImagePreparation p;
  p.resize = engine::ImagePreparation::Resize::ShortestEdge;
  p.shortest = 256;
  const auto prepared = prepare_picture(bmp, p);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.error().code, Code::InvalidInput);
  EXPECT_NE(prepared.error().message.find("too long and narrow"), std::string::npos) << prepared.error().message;
}

// The stand-in, where `verge pull @verge/efficientnet-lite0` has been run: the labels and scores of two other implementations
// (tests/data/expected/efficientnet-lite0.json says which).
TEST(RealEfficientNet, NamesTheCat) {
  fs::path folder;
  if (const char* models = std::getenv("VERGE_MODELS")) folder = models;
  else if (const char* home = std::getenv("HOME")) folder = fs::path(home) / ".cache/verge/models";
  const fs::path weights = folder / "@verge/efficientnet-lite0/efficientnet-lite0-57934424.pth";
  if (!fs::exists(weights)) GTEST_SKIP() << weights << " is not on this machine";
  auto backend = engine::make_cpu_backend({2, ""});
  ASSERT_TRUE(backend.ok());
  auto model = engine::open_as<std::unique_ptr<engine::ImageModel>>(weights.string(), **backend, {});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->info().parameters, 4652008 + 2 * 21008);  // as published, and the norms' running values
  const json::value cases = engine::read_json_file(kData / "expected/efficientnet-lite0.json");
  for (const json::value& one : cases.at("pictures").as_array()) {
    const fs::path file = kData / "images-real" / std::string(one.at("picture").as_string());
    const json::value& expected = one.at("crop-bicubic mean127 std128");
    const auto picture = prepare_picture(read_file(file), (*model)->info().preparation);
    ASSERT_TRUE(picture.ok()) << picture.error().message;
    std::vector<float> logits(1000);
    const engine::Picture view = picture->view();
    ASSERT_TRUE((*model)->classify({&view, 1}, logits.data()).ok());
    const auto tops = engine::numbers_of(expected.at("logits"));
    const std::vector<protocol::ClassScore> answer = image_classes(logits, (*model)->info().labels).classes;
    for (size_t i = 0; i < 5; ++i) {
      const json::value& top = expected.at("top5").as_array()[i];
      EXPECT_NEAR(logits[top.as_array()[0].to_number<size_t>()], tops[i], 1e-3) << file;
      // "tabby, tabby cat": the reference has the first name.
      EXPECT_TRUE(answer[i].label.starts_with(std::string_view(top.as_array()[1].as_string()))) << file;
      EXPECT_NEAR(answer[i].score, top.as_array()[2].to_number<double>(), 1e-4);
    }
  }
}

}  // namespace
}  // namespace verge::worker
