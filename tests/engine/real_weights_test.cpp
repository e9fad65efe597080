// Trained models against transformers' greedy answers (tests/data/expected). Looks for the files below $VERGE_MODELS, else
// in the default folder of `verge pull`; a model that is not there is skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "engine/load.h"
#include "tests/engine/models/harness.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

std::string find_model(const std::string& file_name) {
  fs::path folder;
  if (const char* models = std::getenv("VERGE_MODELS")) folder = models;
  else if (const char* cache = std::getenv("XDG_CACHE_HOME")) folder = fs::path(cache) / "verge";
  else if (const char* home = std::getenv("HOME")) folder = fs::path(home) / ".cache" / "verge";
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().filename() == file_name) return it->path();
  }
  return "";
}

struct RealModel {
  const char* file;
  const char* answers;
};
void PrintTo(const RealModel& model, std::ostream* out) { *out << model.file; }

class RealWeights : public testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    path_ = find_model(GetParam().file);
    if (path_.empty()) GTEST_SKIP() << GetParam().file << " is not on this machine";
    answers_ = read_json(test_data(std::string("expected/") + GetParam().answers));
  }
  // Each greedy case up to its first step whose two best tokens are nearer than `margin`.
  void expect_answers(Precision precision, KvType type, double margin, double first_logits) {
    auto runner = Runner::load(path_, precision, type, {0, ""});
    ASSERT_TRUE(runner);
    int compared = 0;
    for (const json::value& one : answers_.at("greedy").as_array()) {
      const auto prompt = numbers<int32_t>(one.at("prompt_ids"));
      const auto expected = numbers<int32_t>(one.at("ids"));
      const auto margins = numbers<double>(one.at("margins"));
      size_t count = 0;
      while (count < expected.size() && margins[count] >= margin) ++count;
      const auto first = runner->logits_of(prompt).back();
      for (const json::value& best : one.at("first_top10").as_array()) {
        EXPECT_NEAR(first[best.as_array()[0].to_number<size_t>()], best.as_array()[1].to_number<double>(), first_logits);
      }
      const auto got = runner->greedy(prompt, static_cast<int>(std::max<size_t>(count, 1)));
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(got[i], expected[i]) << "step " << i << " margin " << margins[i];
      compared += static_cast<int>(count);
    }
    RecordProperty("steps", compared);
    EXPECT_GT(compared, 0);
  }
  std::string path_;
  json::value answers_;
};

TEST_P(RealWeights, ExpandedToF32TheAnswersAreTransformers) { expect_answers(Precision::F32, KvType::F16, 0.01, 0.02); }

TEST_P(RealWeights, InTheirOwnFormatTheAnswersFollow) { expect_answers(Precision::Native, KvType::F16, 0.5, 1.0); }

INSTANTIATE_TEST_SUITE_P(Models, RealWeights,
                         testing::Values(RealModel{"SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m.json"},
                                         RealModel{"gemma-3-270m-q4_k_m.gguf", "gemma-3-270m.json"},
                                         RealModel{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b.json"}),
                         [](const auto& info) { return "m" + std::to_string(info.index); });

}  // namespace
}  // namespace verge::engine
