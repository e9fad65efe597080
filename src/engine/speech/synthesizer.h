// A voice: text to samples, a sentence at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/models/hibari/hibari.h"
#include "engine/phonemes/english.h"

namespace verge::engine {

class Synthesizer {
 public:
  // A folder that `verge convert hibari` or `verge pull` made. Errors: LoadFailed, Io.
  static Result<std::unique_ptr<Synthesizer>> open(const std::string& path, Backend& backend,
                                                   const LoadOptions& options);

  int rate() const { return kVoiceRate; }
  const std::string& language() const { return language_; }
  const HibariInfo& info() const { return model_->info(); }

  // The sentences of a text, in order. Any thread.
  std::vector<std::string> sentences(std::string_view text) const { return english_->sentences(text); }
  // What one sentence is said with, in pieces that are spoken in one breath; empty where it has
  // nothing that the voice can say. On the thread of the backend, as speak().
  std::vector<std::u32string> phonemes(std::string_view sentence);
  // {samples} of rate(), in [-1, 1]. The same seed gives the same samples.
  std::vector<float> speak(std::u32string_view phonemes, float speed, uint64_t seed);
  // What speak() makes its samples of.
  VoiceFrames frames(std::u32string_view phonemes, float speed);

 private:
  Synthesizer() = default;
  std::u32string spell(std::string_view letters);

  std::string language_;
  std::unique_ptr<Hibari> model_;
  std::unique_ptr<phonemes::English> english_;
  std::unordered_map<char32_t, int32_t> alphabet_, letters_;
  std::u32string sounds_;  // of the spelling network's classes, from 1
  size_t word_letters_ = 0;
};

}  // namespace verge::engine
