// A language model as the worker sees it: token ids in, logits out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "support/error.h"

namespace verge::engine {

struct ModelInfo {
  std::string architecture;  // "llama", "qwen2", "qwen3", "gemma3", …
  int layers = 0, kv_heads = 0, head_dim = 0;
  int64_t width = 0, vocabulary = 0;
  int context_tokens = 0;       // trained context window
  int64_t parameters = 0;
  size_t weight_bytes = 0;      // held in memory
  size_t bytes_per_token = 0;   // weights read for one decode step
  // LongRoPE (Phi 3): texts of this many tokens and more have other keys from their first token on. A text that grows
  // to it must be read again, and shares no page with shorter ones. 0 = all texts have the same keys.
  int long_text_from = 0;
};

// One sequence's tokens of a step.
struct StepSequence {
  std::span<const int32_t> tokens;  // >= 1
  int position = 0;                 // of tokens[0]; earlier positions are in the cache
  std::span<const int32_t> pages;   // page table, covers position + tokens.size()
  int logits = 1;                   // how many of the last tokens want logits (0 while a prompt is being read)
  int length = 0;                   // tokens that the text has so far, unread ones of the prompt included; 0 = those up to here
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual const ModelInfo& info() const = 0;
  virtual Backend& backend() = 0;
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType type) = 0;
  // Runs one step over all sequences (sum of tokens <= limits::kBatchTokens). `logits` gets
  // one row of info().vocabulary floats for each token that wants them, in order.
  virtual void forward(std::span<const StepSequence> step, KvCache& cache, float* logits) = 0;
};

struct LoadOptions {
  Precision precision = Precision::Native;
  std::function<void(double fraction)> progress;  // may be empty
};

}  // namespace verge::engine
