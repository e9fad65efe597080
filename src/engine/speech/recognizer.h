// A Whisper model made ready: network, vocabulary, mel filters, and the decoder's cache. What a transcription
// (transcribe.h) runs on. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/models/whisper.h"
#include "engine/speech/search.h"
#include "engine/speech/whisper_tokenizer.h"

namespace verge::engine {

// Pages of the decoder's cache, shared by hypotheses with the same past.
class HypothesisPages {
 public:
  explicit HypothesisPages(int pages);
  // A table that covers `tokens` tokens. The pool is large enough for every search (see Recognizer).
  std::vector<int32_t> make(int tokens);
  void release(std::vector<int32_t>* table);
  // Extends the table to cover `tokens` tokens.
  void grow(std::vector<int32_t>* table, int tokens);
  // Another table with the same first `tokens` tokens: whole pages are shared, the last one is copied ({from, to} goes to `copies`).
  std::vector<int32_t> fork(const std::vector<int32_t>& table, int tokens, std::vector<std::pair<int32_t, int32_t>>* copies);
  int free() const { return static_cast<int>(free_.size()); }

 private:
  int32_t take();
  std::vector<int32_t> free_;
  std::vector<int> users_;
};

class Recognizer {
 public:
  // Hypotheses at once; bounds the cache.
  static constexpr int kHypotheses = 16;

  static Result<std::unique_ptr<Recognizer>> open(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options, KvType kv_type);

  struct Decoded {
    Hypothesis best;
    double no_speech_probability = 0;
  };
  // Runs a search after `prompt`, whose token number `start` is the start of the transcript. `stop` is asked at each step.
  // Errors: Aborted.
  Result<Decoded> decode(const EncodedAudio& audio, std::span<const int32_t> prompt, int start, const TokenRules& rules, const SearchOptions& options,
                         const std::function<bool()>& stop);
  // Probabilities of the languages after the start token, best first.
  std::vector<std::pair<std::string, double>> detect_language(const EncodedAudio& audio);
  // For `tokens` (control tokens, text, end): scores of the alignment heads {heads, tokens, audio rows}, and each token's
  // probability among text tokens given those before it (the first has 0).
  void align(const EncodedAudio& audio, std::span<const int32_t> tokens, std::vector<float>* scores, std::vector<float>* probabilities);
  const std::vector<AttentionHead>& alignment_heads() const { return heads_; }

  Whisper& model() { return *model_; }
  const WhisperTokenizer& tokenizer() const { return *tokenizer_; }
  std::span<const float> filters() const { return filters_; }
  // Memory for a clip's window, reused.
  size_t cache_bytes() const { return cache_->bytes; }

 private:
  Recognizer() = default;
  void run(const DecodeRows& rows, float* logits) { model_->decode({&rows, 1}, *cache_, logits); }

  std::unique_ptr<Whisper> model_;
  std::unique_ptr<WhisperTokenizer> tokenizer_;
  std::vector<float> filters_;
  std::vector<AttentionHead> heads_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<HypothesisPages> pages_;
  std::vector<float> logits_;
};

}  // namespace verge::engine
