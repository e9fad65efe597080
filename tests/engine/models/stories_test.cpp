// The stories model, whole: its text from GGUF and from the hub's layout, and the promise that a row's logits
// have the same bits in any batch, any cutting of the prompt, on any number of threads.
#include <cstring>
#include <random>

#include "tests/engine/models/harness.h"

namespace verge::engine {
namespace {

const std::string kFolder = "models/stories260K";

std::vector<int32_t> sentence(unsigned seed, int count) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids{1};
  while (static_cast<int>(ids.size()) < count) ids.push_back(static_cast<int32_t>(3 + random() % 250));
  return ids;
}

TEST(Stories, GreedyTokensAreTheReferences) {
  const json::value cases = read_json(test_data("expected/stories260K.json"));
  for (const std::string& path : {kFolder, kFolder + "/stories260K-f32.gguf"}) {
    for (Precision precision : {Precision::F32, Precision::Native}) {
      for (KvType type : {KvType::F32, KvType::F16}) {
        auto runner = Runner::load(test_data(path), precision, type);
        ASSERT_TRUE(runner);
        for (const json::value& one : cases.as_array()) {
          const auto expected = numbers<int32_t>(one.at("ids"));
          EXPECT_EQ(runner->greedy(numbers<int32_t>(one.at("prompt_ids")), static_cast<int>(expected.size())), expected) << path;
        }
      }
    }
  }
}

// Runs three sequences, cut and mixed at random, and compares every position's logits with the sequence run alone at once.
void expect_same_bits(const std::string& path, Precision precision, KvType type, const char* isa, int longest, unsigned seeds) {
  const std::vector<std::vector<int32_t>> texts = {sentence(1, longest), sentence(2, 97), sentence(3, 20)};
  auto alone = Runner::load(path, precision, type, {1, isa});
  ASSERT_TRUE(alone);
  std::vector<std::vector<std::vector<float>>> expected;
  for (const auto& text : texts) expected.push_back(alone->logits_of(text));

  for (int threads : {1, 2}) {
    auto runner = Runner::load(path, precision, type, {threads, isa});
    ASSERT_TRUE(runner);
    for (unsigned seed = 0; seed < seeds; ++seed) {
      std::mt19937 random(seed);
      std::vector<Runner::Sequence> sequences;
      for (const auto& text : texts) sequences.push_back({text, 0, {}, {}});
      for (;;) {
        std::vector<Runner::Sequence*> step;
        std::vector<int> rows;
        for (auto& s : sequences) {
          const int left = static_cast<int>(s.tokens.size()) - s.position;
          const int choices[] = {0, 1, 1, 2, 7, 33, 64};
          const int take = std::min(left, choices[random() % std::size(choices)]);
          if (take > 0) step.push_back(&s), rows.push_back(take);
        }
        if (!step.empty()) runner->step(step, rows);
        if (std::all_of(sequences.begin(), sequences.end(), [](const auto& s) { return s.position == static_cast<int>(s.tokens.size()); })) break;
      }
      for (size_t i = 0; i < texts.size(); ++i) {
        for (size_t p = 0; p < texts[i].size(); ++p) {
          ASSERT_EQ(0, std::memcmp(sequences[i].logits[p].data(), expected[i][p].data(), expected[i][p].size() * sizeof(float)))
              << path << " " << isa << " threads " << threads << " seed " << seed << " sequence " << i << " position " << p;
        }
        for (int32_t page : sequences[i].pages) runner->free.push_back(page);
      }
    }
  }
}

TEST(Stories, SameBitsInAnyBatchChunkAndTeam) {
  for (const char* isa : instruction_sets()) {
    expect_same_bits(test_data(kFolder), Precision::Native, KvType::F16, isa, 300, 2);
  }
}

TEST(Stories, SameBitsInEveryWeightFormat) {
  for (const char* format : {"q4_0", "q4_1", "q4_k", "q5_0", "q5_1", "q5_k", "q6_k", "q8_0", "bf16", "f16", "f32", "mixed"}) {
    for (const char* isa : instruction_sets()) {
      expect_same_bits(test_data(std::string("reference/quant/llama-") + format + ".gguf"), Precision::Native, KvType::F16, isa, 70, 1);
    }
  }
}

TEST(Stories, SameBitsInEveryArchitecture) {
  for (const char* name : {"gemma2", "gemma3", "mistral-window", "qwen2", "qwen3", "phi3-long", "phi4-mini", "granite"}) {
    expect_same_bits(test_data(std::string("reference/") + name), Precision::Native, KvType::BF16, "", 130, 1);
  }
}

}  // namespace
}  // namespace verge::engine
