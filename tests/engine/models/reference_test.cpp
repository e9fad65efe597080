// Logits and greedy tokens against transformers (scripts/make_reference.py made the files, in f64): every
// architecture and variant, every weight format against its own dequantised weights, every instruction set.
#include <cmath>
#include <filesystem>

#include "tests/engine/models/harness.h"

namespace verge::engine {
namespace {

// The largest difference over the largest logit: a few logits near zero say nothing of an error's size.
double relative_error(const std::vector<float>& got, const std::vector<double>& expected) {
  double worst = 0, top = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(got[i] - expected[i]));
    top = std::max(top, std::abs(expected[i]));
  }
  return worst / top;
}

// Returns how many tokens were compared: those that the reference prefers by `margin` of its largest logit or more. Each step is given the
// reference's tokens so far, so one that differs does not hide the next.
int expect_reference(const std::string& model, const std::string& answers, Precision precision, KvType type, const char* isa, double tolerance,
                     double margin) {
  SCOPED_TRACE(model + " on " + isa);
  const json::value expected = read_json(answers);
  auto runner = Runner::load(model, precision, type, {1, isa});
  if (!runner) return 0;
  const auto ids = numbers<int32_t>(expected.at("ids"));
  const auto greedy = numbers<int32_t>(expected.at("greedy"));
  std::vector<int32_t> text = ids;
  text.insert(text.end(), greedy.begin(), greedy.end() - 1);
  // The prompt is a text of its own: one that grows past the original context of LongRoPE is another.
  const auto prompt = runner->logits_of(ids), logits = runner->logits_of(text);
  const auto positions = numbers<int>(expected.at("positions"));
  double top = 0;
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto row = numbers<double>(expected.at("logits").as_array()[i]);
    EXPECT_EQ(prompt[static_cast<size_t>(positions[i])].size(), row.size());
    for (double value : row) top = std::max(top, std::abs(value));
    EXPECT_LT(relative_error(prompt[static_cast<size_t>(positions[i])], row), tolerance) << "position " << positions[i];
  }
  const auto margins = numbers<double>(expected.at("margins"));
  int compared = 0;
  for (size_t i = 0; i < greedy.size(); ++i) {
    if (margins[i] < margin * top) continue;
    ++compared;
    EXPECT_EQ(argmax(logits[ids.size() - 1 + i]), greedy[i]) << "step " << i << ", margin " << margins[i];
  }
  return compared;
}

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(test_data("reference"))) {
    if (std::filesystem::exists(entry.path() / "config.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> quantised() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(test_data("reference/quant"))) {
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class ArchitectureTest : public testing::TestWithParam<std::string> {};

TEST_P(ArchitectureTest, LogitsAndGreedyTokensAreTransformers) {
  const std::string folder = test_data("reference/" + GetParam());
  for (const char* isa : instruction_sets()) {
    EXPECT_GT(expect_reference(folder, folder + "/expected.json", Precision::F32, KvType::F32, isa, 1e-4, 0), 20);
    // And without the reference's help, as a client would have it.
    const json::value expected = read_json(folder + "/expected.json");
    auto runner = Runner::load(folder, Precision::F32, KvType::F32, {1, isa});
    ASSERT_TRUE(runner);
    const auto greedy = numbers<int32_t>(expected.at("greedy"));
    EXPECT_EQ(runner->greedy(numbers<int32_t>(expected.at("ids")), static_cast<int>(greedy.size())), greedy);
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, ArchitectureTest, testing::ValuesIn(architectures()), test_name);

class FormatTest : public testing::TestWithParam<std::string> {};

TEST_P(FormatTest, ExpandedToF32TheLogitsAreThoseOfTheDequantisedWeights) {
  const std::string base = test_data("reference/quant/" + GetParam());
  for (const char* isa : instruction_sets()) {
    EXPECT_GT(expect_reference(base + ".gguf", base + ".json", Precision::F32, KvType::F32, isa, 1e-4, 0), 20);
  }
}

TEST_P(FormatTest, InItsOwnFormatTheLogitsStayNear) {
  const std::string base = test_data("reference/quant/" + GetParam());
  // Activations are rounded to 8 bits beside quantised weights, keys and values to f16.
  const bool plain = GetParam().ends_with("f32") || GetParam().ends_with("f16");
  for (const char* isa : instruction_sets()) {
    EXPECT_GE(expect_reference(base + ".gguf", base + ".json", Precision::Native, KvType::F16, isa, plain ? 0.03 : 0.1, 0.03), 8);
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, FormatTest, testing::ValuesIn(quantised()), test_name);

}  // namespace
}  // namespace verge::engine
