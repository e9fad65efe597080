// Encoders against transformers (scripts/make_encoder_reference.py), on every instruction set, and the promise that a
// text's bits don't depend on what else is in the call.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/formats/model_file.h"
#include "engine/models/bert/bert.h"
#include "engine/models/open.h"
#include "support/json.h"
#include "tests/paths.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

const std::string kFolder = std::string(verge::test_data_folder()) + "/reference/encoders";

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

struct Text {
  std::vector<int32_t> ids;
  int first_segment = 0;
  std::vector<double> first, last, mean, scores;
};

std::vector<double> numbers(const json::value& object, const char* key) {
  std::vector<double> out;
  if (const json::value* list = object.as_object().if_contains(key))
    for (const json::value& v : list->as_array()) out.push_back(v.to_number<double>());
  return out;
}

std::vector<Text> expected(const std::string& name) {
  std::ifstream in(kFolder + "/" + name + "/expected.json");
  std::stringstream text;
  text << in.rdbuf();
  const json::value parsed = json::parse(text.str());
  std::vector<Text> texts;
  for (const json::value& t : parsed.at("texts").as_array()) {
    Text& to = texts.emplace_back();
    for (const json::value& id : t.at("ids").as_array()) to.ids.push_back(id.to_number<int32_t>());
    to.first_segment = t.at("first_segment").to_number<int>();
    to.first = numbers(t, "first"), to.last = numbers(t, "last"), to.mean = numbers(t, "mean"), to.scores = numbers(t, "scores");
  }
  return texts;
}

void expect_near(const float* got, const std::vector<double>& wanted, double tolerance, const char* what) {
  double worst = 0, top = 0;
  for (size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, std::abs(got[i] - wanted[i])), top = std::max(top, std::abs(wanted[i]));
  EXPECT_LT(worst, tolerance * std::max(top, 1.0)) << what;
}

class EncoderTest : public testing::TestWithParam<std::string> {};

TEST_P(EncoderTest, RowsVectorsAndScoresAreTransformers) {
  const auto texts = expected(GetParam());
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    SCOPED_TRACE(isa);
    auto file = open_model_file(kFolder + "/" + GetParam());
    ASSERT_TRUE(file) << file.error().message;
    auto model = load_bert(*file, **backend, {Precision::F32, {}});
    ASSERT_TRUE(model) << model.error().message;
    const auto width = static_cast<size_t>((*model)->info().width), classes = static_cast<size_t>((*model)->info().classes);
    std::vector<EncoderText> batch;
    size_t rows = 0;
    for (const Text& text : texts) {
      batch.push_back({text.ids, text.first_segment});
      rows += text.ids.size();
    }
    std::vector<float> hidden(rows * width), scores(texts.size() * classes);
    (*model)->encode(batch, hidden.data());
    if (classes > 0) (*model)->classify(batch, hidden.data(), scores.data());
    const float* at = hidden.data();
    for (size_t i = 0; i < texts.size(); ++i) {
      const Text& text = texts[i];
      const int n = static_cast<int>(text.ids.size());
      expect_near(at, text.first, 1e-4, "first row");
      expect_near(at + (text.ids.size() - 1) * width, text.last, 1e-4, "last row");
      std::vector<float> mean(width);
      pool(at, n, static_cast<int64_t>(width), Pooling::Mean, false, mean.data());
      expect_near(mean.data(), text.mean, 1e-4, "mean");
      ASSERT_EQ(text.scores.size(), classes);
      expect_near(scores.data() + i * classes, text.scores, 1e-4, "scores");
      // Alone: the same bits.
      std::vector<float> alone(text.ids.size() * width), score(classes);
      (*model)->encode({&batch[i], 1}, alone.data());
      EXPECT_EQ(0, std::memcmp(alone.data(), at, alone.size() * sizeof(float))) << "text " << i;
      if (classes > 0) {
        (*model)->classify({&batch[i], 1}, alone.data(), score.data());
        EXPECT_EQ(0, std::memcmp(score.data(), scores.data() + i * classes, classes * sizeof(float)));
      }
      at += text.ids.size() * width;
    }
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Reference, EncoderTest, testing::ValuesIn(cases()), test_name);

TEST(Pool, FirstLastMeanAndLength) {
  const float rows[] = {3, 4, 0, 0, 6, 8};
  float out[2];
  pool(rows, 3, 2, Pooling::Cls, true, out);
  EXPECT_FLOAT_EQ(out[0], 0.6f);
  pool(rows, 3, 2, Pooling::Last, false, out);
  EXPECT_FLOAT_EQ(out[1], 8);
  pool(rows, 3, 2, Pooling::Mean, false, out);
  EXPECT_FLOAT_EQ(out[0], 3);
  const float zeros[] = {0, 0};
  pool(zeros, 1, 2, Pooling::Mean, true, out);
  EXPECT_EQ(out[0], 0) << "no direction, no NaN";
}

}  // namespace
}  // namespace verge::engine
