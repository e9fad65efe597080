// A Whisper model made ready: network, vocabulary, mel filters, and the decoder's cache. What any number of transcriptions
// (transcribe.h) run on, side by side. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/models/whisper/whisper.h"
#include "engine/speech/decoding.h"
#include "engine/speech/whisper_tokenizer.h"

namespace verge::engine {

class Recognizer {
 public:
  static Result<std::unique_ptr<Recognizer>> open(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options, KvType kv_type);

  // One step of the decoder for all of them; none is done. Sum of their rows <= limits::kBatchTokens.
  void step(std::span<Decoding* const> decodings);
  // Probabilities of the languages after the start token, best first.
  std::vector<std::pair<std::string, double>> detect_language(const EncodedAudio& audio);
  // For `tokens` (control tokens, text, end): scores of the alignment heads {heads, tokens, audio rows}, and each token's
  // probability among text tokens given those before it (the first has 0).
  void align(const EncodedAudio& audio, std::span<const int32_t> tokens, std::vector<float>* scores, std::vector<float>* probabilities);
  const std::vector<AttentionHead>& alignment_heads() const { return heads_; }

  Whisper& model() { return *model_; }
  const WhisperTokenizer& tokenizer() const { return *tokenizer_; }
  std::span<const float> filters() const { return filters_; }
  HypothesisPages& pages() { return *pages_; }
  const SpeechRoom& room() const { return room_; }
  size_t cache_bytes() const { return cache_->bytes; }

 private:
  Recognizer() = default;
  void for_each(int count, const std::function<void(int)>& body);
  void run(const DecodeRows& rows, float* logits) { model_->decode({&rows, 1}, *cache_, logits); }

  std::unique_ptr<Whisper> model_;
  std::unique_ptr<WhisperTokenizer> tokenizer_;
  std::vector<float> filters_;
  std::vector<AttentionHead> heads_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<HypothesisPages> pages_;
  SpeechRoom room_;
  std::vector<float> logits_;
  // Of the step at work.
  std::vector<DecodeRows> rows_;
  std::vector<std::pair<int32_t, int32_t>> copies_;
};

}  // namespace verge::engine
