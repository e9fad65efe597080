// One search over a window's text as rows of the decoder's steps. Any number of them share a step (Recognizer::step): their rows
// lie behind each other, each attends to its own window, and what comes out for one has the same bits whatever else is there.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/models/whisper/whisper.h"
#include "engine/speech/hypothesis_pages.h"
#include "engine/speech/search.h"

namespace verge::engine {

struct Decoded {
  Hypothesis best;
  double no_speech_probability = 0;
};

class Decoding {
 public:
  // After `prompt`, whose token number `start` is the start of the transcript. `audio` and `pages` outlive it.
  Decoding(HypothesisPages& pages, const EncodedAudio& audio, std::vector<int32_t> prompt, int start, const TokenRules& rules, const SearchOptions& options);
  ~Decoding();
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  bool done() const { return search_.done() && !first_; }
  // Of the next step: rows of tokens, and how many of them want logits.
  int rows() const { return static_cast<int>(first_ ? prompt_.size() : search_.next().size()); }
  int logits() const { return static_cast<int>(first_ ? wanted_.size() : search_.next().size()); }
  // Adds the rows to `step`, and to `copies` the pages to copy before it. What it points to holds until choose().
  void append(std::vector<DecodeRows>* step, std::vector<std::pair<int32_t, int32_t>>* copies);
  // Then, with the step's logits {logits(), vocabulary}: consider() of 0 … considered() - 1, on any threads, and choose().
  int considered() const { return search_.rows(); }
  void consider(int row, float* logits);
  void choose();

  // After done().
  Decoded result() const { return {search_.best(), no_speech_probability_}; }

 private:
  HypothesisPages& pages_;
  const EncodedAudio& audio_;
  const WhisperTokenizer& tokenizer_;
  const std::vector<int32_t> prompt_;
  Search search_;
  bool first_ = true;
  std::vector<int32_t> wanted_;               // of the first step: the start, and the last token where that is another
  std::vector<std::vector<int32_t>> tables_;  // pages of each row
  std::vector<int32_t> tokens_;
  int length_ = 0;
  double no_speech_probability_ = 0;
};

}  // namespace verge::engine
