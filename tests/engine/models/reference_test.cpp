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

void expect_reference(const std::string& model, const std::string& answers, Precision precision, KvType type, const char* isa, double tolerance,
                      double margin) {
  SCOPED_TRACE(model + " on " + isa);
  const json::value expected = read_json(answers);
  auto runner = Runner::load(model, precision, type, {1, isa});
  ASSERT_TRUE(runner);
  const auto ids = numbers<int32_t>(expected.at("ids"));
  const auto logits = runner->logits_of(ids);
  const auto positions = numbers<int>(expected.at("positions"));
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto row = numbers<double>(expected.at("logits").as_array()[i]);
    ASSERT_EQ(logits[static_cast<size_t>(positions[i])].size(), row.size());
    EXPECT_LT(relative_error(logits[static_cast<size_t>(positions[i])], row), tolerance) << "position " << positions[i];
  }
  const auto greedy = numbers<int32_t>(expected.at("greedy"));
  const auto margins = numbers<double>(expected.at("margins"));
  const auto got = runner->greedy(ids, static_cast<int>(greedy.size()));
  for (size_t i = 0; i < greedy.size() && margins[i] >= margin; ++i) EXPECT_EQ(got[i], greedy[i]) << "step " << i;
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

bool available(const char* isa) { return make_cpu_backend({1, isa}).ok(); }

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class ArchitectureTest : public testing::TestWithParam<std::string> {};

TEST_P(ArchitectureTest, LogitsAndGreedyTokensAreTransformers) {
  const std::string folder = test_data("reference/" + GetParam());
  for (const char* isa : {"base", "avx2", "avx512"}) {
    if (available(isa)) expect_reference(folder, folder + "/expected.json", Precision::F32, KvType::F32, isa, 1e-4, 0.01);
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, ArchitectureTest, testing::ValuesIn(architectures()), test_name);

class FormatTest : public testing::TestWithParam<std::string> {};

TEST_P(FormatTest, ExpandedToF32TheLogitsAreThoseOfTheDequantisedWeights) {
  const std::string base = test_data("reference/quant/" + GetParam());
  for (const char* isa : {"base", "avx2", "avx512"}) {
    if (available(isa)) expect_reference(base + ".gguf", base + ".json", Precision::F32, KvType::F32, isa, 1e-4, 0.01);
  }
}

TEST_P(FormatTest, InItsOwnFormatTheLogitsStayNear) {
  const std::string base = test_data("reference/quant/" + GetParam());
  for (const char* isa : {"base", "avx2", "avx512"}) {
    if (available(isa)) expect_reference(base + ".gguf", base + ".json", Precision::Native, KvType::F16, isa, 0.12, 2.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, FormatTest, testing::ValuesIn(quantised()), test_name);

}  // namespace
}  // namespace verge::engine
