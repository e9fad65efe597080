#include "engine/backends/null/null_model.h"

#include <algorithm>
#include <cstdlib>

#include "support/random.h"

namespace verge::engine {
namespace {

class NullCache final : public KvCache {
 public:
  explicit NullCache(int count) { pages = count; }
};

class NullModel final : public LanguageModel {
 public:
  NullModel(int64_t vocabulary, int context_tokens) {
    info_.architecture = "null";
    info_.vocabulary = vocabulary;
    info_.context_tokens = context_tokens;
  }
  const ModelInfo& info() const override { return info_; }
  Backend& backend() override { std::abort(); }
  Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType) override { return std::unique_ptr<KvCache>(std::make_unique<NullCache>(pages)); }

  void forward(std::span<const StepSequence> step, KvCache&, float* logits) override {
    for (const StepSequence& s : step) {
      for (size_t i = s.tokens.size() - static_cast<size_t>(s.logits); i < s.tokens.size(); ++i) {
        std::fill_n(logits, info_.vocabulary, 0.0f);
        logits[random_at(static_cast<uint32_t>(s.tokens[i]), 0) % static_cast<uint64_t>(info_.vocabulary)] = 20.0f;
        logits += info_.vocabulary;
      }
    }
  }

 private:
  ModelInfo info_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_null_model(int64_t vocabulary, int context_tokens) { return std::make_unique<NullModel>(vocabulary, context_tokens); }

}  // namespace verge::engine
