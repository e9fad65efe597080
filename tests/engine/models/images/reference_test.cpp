// Image models against transformers and torchvision (scripts/make_image_model_reference.py made the files): every folder, every
// instruction set, from prepared pixels to logits; a picture's bits in any batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "engine/image_model.h"
#include "support/json.h"
#include "tests/engine/models/images/harness.h"
#include "tests/paths.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(verge::test_data_folder()) / "reference/images";

std::vector<std::string> classifiers() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (!fs::is_directory(entry.path())) continue;
    const auto expected = read_json_file(entry.path() / "expected.json");
    if (expected.as_object().contains("logits") && !expected.as_object().contains("pred_boxes")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int> order_of(const auto& values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)]; });
  order.resize(std::min<size_t>(order.size(), 5));
  return order;
}

class ClassifierTest : public testing::TestWithParam<std::string> {};

TEST_P(ClassifierTest, LogitsAreTheReferences) {
  const fs::path folder = kFolder / GetParam();
  const json::value answers = read_json_file(folder / "expected.json");
  const auto expected = numbers_of(answers.at("logits"));
  const Pixels pixels = read_pixels(folder / "prepared.ppm");
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    auto model = load_image_model(folder.string(), **backend, {});
    ASSERT_TRUE(model.ok()) << model.error().message;
    ASSERT_EQ((*model)->info().labels.size(), expected.size());
    std::vector<float> logits(expected.size());
    const Picture picture = pixels.picture();
    ASSERT_TRUE((*model)->classify({&picture, 1}, logits.data()).ok());
    double top = 0;
    for (double v : expected) top = std::max(top, std::abs(v));
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 1e-4 * top) << isa << " class " << i;
    EXPECT_EQ(order_of(logits), order_of(expected)) << isa;
  }
}

TEST_P(ClassifierTest, APicturesBitsAreTheSameInAnyBatch) {
  const fs::path folder = kFolder / GetParam();
  const Pixels pixels = read_pixels(folder / "prepared.ppm"), other = pixels.mirrored();
  auto one = make_cpu_backend({1, ""}), three = make_cpu_backend({3, ""});
  ASSERT_TRUE(one.ok() && three.ok());
  auto alone = load_image_model(folder.string(), **one, {}), together = load_image_model(folder.string(), **three, {});
  ASSERT_TRUE(alone.ok() && together.ok());
  const size_t classes = (*alone)->info().labels.size();
  std::vector<Picture> pictures;
  for (int i = 0; i < 11; ++i) pictures.push_back(i % 3 == 1 ? pixels.picture() : other.picture());
  std::vector<float> batch(classes * pictures.size()), single(classes);
  ASSERT_TRUE((*together)->classify(pictures, batch.data()).ok());
  for (size_t i = 0; i < pictures.size(); ++i) {
    ASSERT_TRUE((*alone)->classify({&pictures[i], 1}, single.data()).ok());
    EXPECT_EQ(0, std::memcmp(single.data(), &batch[i * classes], classes * sizeof(float))) << i;
  }
}

// Features of large pictures go through the first stages one picture at a time.
TEST(Resnet, ALargePicturesBitsAreTheSameInAnyBatch) {
  constexpr int kSide = 640;
  std::vector<uint8_t> rgb(size_t{3} * 3 * kSide * kSide);
  uint32_t state = 1;
  for (uint8_t& v : rgb) v = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  std::vector<Picture> pictures;
  for (size_t i = 0; i < 3; ++i) pictures.push_back({rgb.data() + i * 3 * kSide * kSide, kSide, kSide});
  auto backend = make_cpu_backend({2, ""});
  ASSERT_TRUE(backend.ok());
  for (const char* name : {"resnet-basic", "resnet-bottleneck", "resnet-first-stage"}) {
    auto model = load_image_model((kFolder / name).string(), **backend, {});
    ASSERT_TRUE(model.ok()) << model.error().message;
    const size_t classes = (*model)->info().labels.size();
    std::vector<float> batch(3 * classes), single(classes);
    ASSERT_TRUE((*model)->classify(pictures, batch.data()).ok());
    for (size_t i = 0; i < pictures.size(); ++i) {
      ASSERT_TRUE((*model)->classify({&pictures[i], 1}, single.data()).ok());
      EXPECT_EQ(0, std::memcmp(single.data(), &batch[i * classes], classes * sizeof(float))) << name << " " << i;
    }
  }
}

TEST_P(ClassifierTest, MemoryIsToldFromHeaders) {
  const std::string path = (kFolder / GetParam()).string();
  const auto need = image_memory_needed(path);
  ASSERT_TRUE(need.ok()) << need.error().message;
  auto backend = make_cpu_backend({1, ""});
  ASSERT_TRUE(backend.ok());
  auto model = load_image_model(path, **backend, {});
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(need->weights, (*model)->info().weight_bytes);
  EXPECT_EQ(need->task, "image-classification");
  EXPECT_GT(need->scratch, 0u);
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Reference, ClassifierTest, testing::ValuesIn(classifiers()), test_name);

// Classes and boxes of every query that is certain enough, in the queries' order.
TEST(Detector, FindsWhatTheReferenceFinds) {
  const fs::path folder = kFolder / "detr";
  const json::value answers = read_json_file(folder / "expected.json");
  const Pixels pixels = read_pixels(folder / "prepared.ppm");
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    auto model = load_image_model(folder.string(), **backend, {});
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ((*model)->info().task, "object-detection");
    for (int round = 0; round < 2; ++round) {  // nothing of the first picture is left for the second
      std::vector<Detection> found;
      ASSERT_TRUE((*model)->detect(pixels.picture(), &found).ok());
      size_t next = 0;
      for (size_t q = 0; q < answers.at("logits").as_array().size(); ++q) {
        const auto logits = numbers_of(answers.at("logits").as_array()[q]), box = numbers_of(answers.at("pred_boxes").as_array()[q]);
        double sum = 0;
        for (double v : logits) sum += std::exp(v);
        const auto best = std::max_element(logits.begin(), logits.end() - 1);
        const double score = std::exp(*best) / sum;
        if (score <= 0.5) continue;
        ASSERT_LT(next, found.size()) << isa;
        const Detection& d = found[next++];
        EXPECT_EQ(d.label, best - logits.begin());
        EXPECT_NEAR(d.score, score, 1e-4);
        const double expected[] = {box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2};
        const float got[] = {d.left, d.top, d.right, d.bottom};
        for (int i = 0; i < 4; ++i) EXPECT_NEAR(got[i], expected[i], 1e-4) << isa << " query " << q;
      }
      EXPECT_EQ(next, found.size());
      EXPECT_GE(next, 2u);
    }
  }
}

// A folder of the reference with one file changed.
struct Copy {
  fs::path path = fs::temp_directory_path() / fmt::format("verge-image-model-{}", ::getpid());
  explicit Copy(const std::string& name) {
    fs::remove_all(path);
    fs::copy(kFolder / name, path);
  }
  ~Copy() { fs::remove_all(path); }
  void config(std::string_view key, json::value value) {
    auto config = read_json_file(path / "config.json").as_object();
    config[key] = std::move(value);
    std::ofstream(path / "config.json") << json::serialize(config);
  }
  Error error() const {
    auto backend = make_cpu_backend({1, ""});
    auto model = load_image_model(path.string(), **backend, {});
    return model.ok() ? Error{Code::Internal, "it loads"} : model.error();
  }
};

TEST(ImageModel, AWrongConfigurationIsNamed) {
  const std::pair<const char*, json::value> wrong[] = {
      {"depths", json::array{1, 2}},        {"depths", json::array{1, 0, 1}}, {"hidden_sizes", json::array{16, 24, 48}}, {"hidden_sizes", json::array{1000000, 1, 1}},
      {"layer_type", "other"},              {"hidden_act", "gelu"},           {"num_channels", 1},                       {"id2label", json::object{{"1", "a"}}},
      {"id2label", json::object{}},         {"embedding_size", -4},           {"model_type", "swin"},                    {"id2label", json::object{{"0", "one"}}},
  };
  for (const auto& [key, value] : wrong) {
    Copy copy("resnet-basic");
    copy.config(key, value);
    const Error error = copy.error();
    EXPECT_EQ(error.code, Code::LoadFailed) << key << ": " << error.message;
    EXPECT_NE(error.message.find(copy.path.string()), std::string::npos) << error.message;
  }
}

TEST(ImageModel, ATruncatedFileIsRefused) {
  for (const char* name : {"resnet-basic", "resnet-first-stage", "resnet-in-bottleneck"}) {
    Copy copy(name);
    const fs::path file = copy.path / (fs::exists(copy.path / "model.safetensors") ? "model.safetensors" : "pytorch_model.bin");
    for (int part = 1; part < 8; ++part) {
      fs::resize_file(file, fs::file_size(file) * 7 / 8);
      EXPECT_EQ(copy.error().code, Code::LoadFailed) << name;
    }
  }
}

TEST(ImageModel, APreparationOutOfRangeIsRefused) {
  for (const char* text : {R"({"size": 0})", R"({"size": {"height": 99999, "width": 3}})", R"({"resample": 9})", R"({"image_std": [0, 1, 1]})", R"({"image_mean": [1]})",
                           R"({"crop_pct": 0, "size": 32})", R"({"do_center_crop": true})", "[]", "{"}) {
    Copy copy("resnet-basic");
    std::ofstream(copy.path / "preprocessor_config.json") << text;
    EXPECT_EQ(copy.error().code, Code::LoadFailed) << text;
  }
}

}  // namespace
}  // namespace verge::engine
