// From a clip to text with times: windows of up to 30 s that slide by the timestamps which the model itself writes, as
// openai/whisper's transcribe.py and faster-whisper do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/speech/align.h"
#include "engine/speech/clip.h"
#include "engine/speech/recognizer.h"

namespace verge::engine {

struct SpeechOptions {
  std::string language;                     // "en"; empty: detected from the first window
  bool translate = false;                   // to English
  int beam_size = 5;                        // 1 = greedy
  int best_of = 5;                          // samples at temperatures above 0
  float patience = 1;
  std::vector<float> temperatures = {0, 0.2f, 0.4f, 0.6f, 0.8f, 1};  // tried in order while the thresholds are missed
  std::optional<double> compression_ratio_threshold = 2.4;
  std::optional<double> log_prob_threshold = -1;
  std::optional<double> no_speech_threshold = 0.6;
  std::optional<double> hallucination_silence_threshold;  // needs word times
  bool condition_on_previous_text = true;
  std::string initial_prompt, prefix;
  bool timestamps = true;
  bool words = true;
  // Silence that the encoder sees behind the end of a window, at most; the model was trained on windows filled up to 30 s.
  double padding_s = 30;
  uint64_t seed = 0;
};

// A state machine that whoever runs the model drives, so that many clips share its steps. From Wanting a window on:
//   prepare(); the model encodes window() (beside others' windows); encoded();
//   while Decoding: a step with decoding() (beside others') as Recognizer::step does it; stepped();
// and then it wants its next window, or is Done. step() does all of that for one clip alone.
class Transcription {
 public:
  enum class State { Wanting, Prepared, Decoding, Done };

  // Both outlive it.
  Transcription(Recognizer& recognizer, Clip& clip, SpeechOptions options);

  // Errors: InvalidInput for a language that the model does not have.
  Result<> check() const;
  State state() const { return state_; }
  bool done() const { return state_ == State::Done; }

  // Reads the next window of the clip; its frames. Errors: those of the clip's source.
  Result<> prepare();
  // What is to be encoded, into a memory that no one else uses until the window is done.
  EncoderWindow window(EncodedAudio* memory);
  void encoded();
  Decoding* decoding() { return decoding_.get(); }
  // After a step of decoding(). At a window's end its segments are at the end of segments().
  void stepped();

  // One window. Its segments are at the end of segments(). Errors: Aborted where stop() says so, and the clip's.
  Result<> step(const std::function<bool()>& stop);

  // Pages of the decoder's cache that a window needs at most.
  int pages() const;
  const std::vector<SpeechSegment>& segments() const { return segments_; }
  const std::string& language() const { return language_; }
  double language_probability() const { return language_probability_; }
  double seconds_done() const;
  int64_t tokens() const { return tokens_made_; }

 private:
  struct Outcome {
    Hypothesis hypothesis;
    double avg_logprob = 0, compression_ratio = 0, no_speech_prob = 0;
    float temperature = 0;
  };
  struct Window {
    int64_t seek = 0, size = 0;  // frames
    double offset() const { return static_cast<double>(seek) / kFramesPerSecond; }
    double seconds() const { return static_cast<double>(size) / kFramesPerSecond; }
  };

  std::vector<int32_t> control_tokens() const;
  std::vector<int32_t> prompt(int* start) const;
  void search();  // at the next temperature
  std::optional<Outcome> judge(Decoded decoded);
  bool is_silence(const Outcome& outcome) const;
  void finish(Outcome outcome);
  // Cuts the tokens at their timestamps; moves seek_ on. True where the window ends in one timestamp.
  bool split(const Window& window, const Outcome& outcome, std::vector<SpeechSegment>* found);
  void add_words(const Window& window, std::span<SpeechSegment> found);
  // True: the window is to be read again from seek_.
  bool skip_hallucinations(const Window& window, std::vector<SpeechSegment>* found);
  void keep(std::vector<SpeechSegment> found, float temperature);

  Recognizer& recognizer_;
  Clip& clip_;
  const WhisperTokenizer& tokenizer_;
  const SpeechOptions options_;
  State state_ = State::Wanting;
  Window window_;
  int encoder_frames_ = 0;  // of the window, silence behind it included
  EncodedAudio* audio_ = nullptr;
  EncodedAudio own_;  // of step()
  std::vector<float> mel_;
  std::unique_ptr<Decoding> decoding_;
  std::vector<Outcome> outcomes_;  // of the window, one a temperature
  std::vector<size_t> sober_;      // of them, those that do not repeat themselves
  std::vector<SpeechSegment> segments_;
  std::vector<int32_t> past_;   // tokens of the text so far, the initial prompt's first
  size_t past_from_ = 0;
  std::string language_;
  double language_probability_ = 1;
  int64_t seek_ = 0;
  int64_t window_number_ = 0;
  double last_speech_ = 0;
  int64_t tokens_made_ = 0;
};

// Length of the text over its length compressed by zlib: high for text that repeats itself.
double compression_ratio(std::string_view text);

}  // namespace verge::engine
