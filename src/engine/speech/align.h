// When each word was said: the text's tokens are aligned with the frames by dynamic time warping over the scores of a few
// heads of cross-attention (openai/whisper, timing.py).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/speech/whisper_tokenizer.h"

namespace verge::engine {

struct WordTime {
  std::string word;             // with its leading space
  double start = 0, end = 0;    // seconds from the start of the window, or of the clip (segments)
  double probability = 0;
  std::vector<int32_t> tokens;
};

// Scores before the softmax {heads, rows, stride}, of which the first `frames` of a row count, to one matrix {rows, frames}: softmax over
// frames, each frame's column brought to mean 0 and deviation 1 over the rows, a median of 7 frames, the mean of the heads.
std::vector<float> alignment_matrix(std::span<const float> scores, int heads, int rows, int stride, int frames);

// The frame where each row begins, by the cheapest monotonic path through -matrix {rows, frames}.
std::vector<int> warp(std::span<const float> matrix, int rows, int frames);

// Words of `text` (text tokens) from the beginnings of its tokens: {text.size() + 1} frames of 20 ms and probabilities {text.size()}.
std::vector<WordTime> word_times(const WhisperTokenizer& tokenizer, std::span<const int32_t> text, std::string_view language,
                                 std::span<const int> starts, std::span<const float> probabilities);

struct SpeechSegment {
  int64_t seek = 0;              // frame where its window starts
  double start = 0, end = 0;     // seconds
  std::string text;
  std::vector<int32_t> tokens;
  double temperature = 0, avg_logprob = 0, compression_ratio = 0, no_speech_prob = 0;
  std::vector<WordTime> words;
};

// Gives the words of one window to its segments, punctuation joined to its words, too long words cut at pauses, and moves
// the segments' ends to their words'. `last_speech` is the end of what was said before; it is moved on.
void assign_words(std::vector<WordTime> words, std::span<SpeechSegment> segments, int32_t end_token, double* last_speech);

}  // namespace verge::engine
