// A language model of arithmetic alone, for tests of scheduling: its logits at a position follow from
// every token that the page table gives for the positions before. A page mixed up, computed twice,
// skipped or shared wrongly changes the answer.
#pragma once

#include <gtest/gtest.h>

#include <cassert>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/load.h"
#include "support/limits.h"
#include "support/random.h"

namespace verge::worker::testing {

class FakeCache final : public engine::KvCache {
 public:
  explicit FakeCache(int count) : slots(static_cast<size_t>(count) * limits::kPageTokens, -1) {
    pages = count;
    layers = kv_heads = head_dim = 1;
  }
  std::vector<int32_t> slots;
};

class FakeModel final : public engine::LanguageModel {
 public:
  explicit FakeModel(int vocabulary) {
    info_.architecture = "fake";
    info_.vocabulary = vocabulary;
    info_.context_tokens = 1 << 20;
  }
  const engine::ModelInfo& info() const override { return info_; }
  engine::Backend& backend() override { std::abort(); }  // nothing in the worker asks for it
  Result<std::unique_ptr<engine::KvCache>> make_kv_cache(int pages, engine::KvType) override {
    return std::unique_ptr<engine::KvCache>(std::make_unique<FakeCache>(pages));
  }
  void forward(std::span<const engine::StepSequence> step, engine::KvCache& cache, float* logits) override {
    auto& slots = static_cast<FakeCache&>(cache).slots;
    int rows = 0;
    for (const engine::StepSequence& s : step) {
      rows += static_cast<int>(s.tokens.size());
      const auto slot = [&](int position) -> int32_t& {
        return slots.at(static_cast<size_t>(s.pages[static_cast<size_t>(position / limits::kPageTokens)]) * limits::kPageTokens +
                        static_cast<size_t>(position % limits::kPageTokens));
      };
      for (size_t i = 0; i < s.tokens.size(); ++i) slot(s.position + static_cast<int>(i)) = s.tokens[i];
      for (int l = s.logits; l > 0; --l) {
        const int end = s.position + static_cast<int>(s.tokens.size()) - l + 1;
        uint64_t h = 0;
        for (int p = 0; p < end; ++p) h = mix64(h ^ static_cast<uint32_t>(slot(p)));
        for (int64_t v = 0; v < info_.vocabulary; ++v) *logits++ = static_cast<float>(unit_at(h, static_cast<uint64_t>(v)) * 8);
      }
    }
    EXPECT_LE(rows, limits::kBatchTokens);
    EXPECT_LE(step.size(), static_cast<size_t>(limits::kSequences));
    most_rows = std::max(most_rows, rows);
    ++steps;
  }
  int most_rows = 0, steps = 0;

 private:
  engine::ModelInfo info_;
};

// Every id below 256 is its byte, 256 is the end of text, 257 BOS; a leading space is never dropped.
class ByteTokenizer : public engine::Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text, const engine::EncodeOptions& options) const override {
    std::vector<int32_t> ids;
    if (options.add_special) ids.push_back(257);
    for (unsigned char c : text) {
      if (ids.size() > options.most_tokens) break;
      ids.push_back(c);
    }
    return ids;
  }
  std::string piece(int32_t id, bool special = false) const override {
    if (id < 256) return std::string(1, static_cast<char>(id));
    return !special ? "" : id == 256 ? "<end>" : "<bos>";
  }
  std::string decode(const std::vector<int32_t>& ids, bool special = false) const override {
    std::string text;
    for (int32_t id : ids) text += piece(id, special);
    return text;
  }
  int32_t vocabulary() const override { return 258; }
  size_t least_tokens(std::string_view text) const override { return text.size(); }
  int32_t bos() const override { return 257; }
  int32_t eos() const override { return 256; }
  bool adds_bos() const override { return true; }
  int32_t find(std::string_view token) const override { return token == "<end>" ? 256 : token == "<bos>" ? 257 : -1; }
  bool is_control(int32_t id) const override { return id >= 256; }
};

inline engine::LoadedModel fake_loaded_model() {
  engine::LoadedModel loaded;
  loaded.file = std::make_shared<engine::ModelFile>();
  loaded.model = std::make_unique<FakeModel>(258);
  loaded.tokenizer = std::make_unique<ByteTokenizer>();
  loaded.stop_ids = {256};
  return loaded;
}

}  // namespace verge::worker::testing
