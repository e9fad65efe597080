#include "engine/speech/transcribe.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>

#include "support/random.h"

namespace verge::engine {
namespace {

constexpr int kFramesPerPosition = 2;
constexpr double kTimestampStep = 0.02;
// From this temperature on the text is not trusted to condition the next window.
constexpr float kPromptResetTemperature = 0.5f;

std::string_view strip(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

double anomaly(const WordTime& word) {
  const double duration = word.end - word.start;
  double score = word.probability < 0.15 ? 1 : 0;
  if (duration < 0.133) score += (0.133 - duration) * 15;
  if (duration > 2) score += duration - 2;
  return score;
}

bool is_anomaly(const SpeechSegment* segment) {
  if (!segment || segment->words.empty()) return false;
  constexpr std::string_view kPunctuation = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";
  double score = 0;
  int count = 0;
  for (const WordTime& word : segment->words) {
    if (kPunctuation.find(word.word) != std::string_view::npos) continue;
    if (++count > 8) break;
    score += anomaly(word);
  }
  count = std::min(count, 8);
  return score >= 3 || score + 0.01 >= count;
}

const SpeechSegment* first_with_words(std::span<const SpeechSegment> segments) {
  for (const SpeechSegment& segment : segments) {
    if (!segment.words.empty()) return &segment;
  }
  return nullptr;
}

}  // namespace

double compression_ratio(std::string_view text) {
  uLongf length = compressBound(text.size());
  std::vector<Bytef> packed(length);
  if (compress(packed.data(), &length, reinterpret_cast<const Bytef*>(text.data()), text.size()) != Z_OK || length == 0) return 0;
  return static_cast<double>(text.size()) / static_cast<double>(length);
}

Transcription::Transcription(Recognizer& recognizer, Clip& clip, SpeechOptions options)
    : recognizer_(recognizer), clip_(clip), tokenizer_(recognizer.tokenizer()), options_(std::move(options)) {
  if (clip_.frames() == 0) state_ = State::Done;
  language_ = tokenizer_.multilingual ? options_.language : "en";
  if (!options_.initial_prompt.empty()) past_ = tokenizer_.encode(" " + std::string(strip(options_.initial_prompt)));
}

Result<> Transcription::check() const {
  const std::string& code = options_.language;
  if (code.empty() || (!tokenizer_.multilingual && code == "en")) return {};
  if (!tokenizer_.multilingual) return fail(Code::InvalidInput, "this model transcribes English only, not '{}'", code.substr(0, 32));
  if (tokenizer_.language(code) < 0) return fail(Code::InvalidInput, "'{}' is not a language of this model: give a code such as 'en' or leave it out", code.substr(0, 32));
  return {};
}

int Transcription::pages() const {
  const bool samples = std::ranges::any_of(options_.temperatures, [](float t) { return t > 0; });
  return search_pages(recognizer_.model().info(), samples ? std::max(options_.beam_size, options_.best_of) : options_.beam_size);
}

double Transcription::seconds_done() const { return static_cast<double>(std::min(seek_, clip_.frames())) / kFramesPerSecond; }

std::vector<int32_t> Transcription::control_tokens() const {
  if (!tokenizer_.multilingual) return {tokenizer_.start};
  return {tokenizer_.start, tokenizer_.language(language_), options_.translate ? tokenizer_.translate : tokenizer_.transcribe};
}

std::vector<int32_t> Transcription::prompt(int* start) const {
  const auto half = static_cast<size_t>(recognizer_.model().info().text_positions / 2);
  std::vector<int32_t> tokens;
  if (past_.size() > past_from_) {
    tokens.push_back(tokenizer_.start_of_previous);
    const size_t from = std::max(past_from_, past_.size() - std::min(past_.size(), half - 1));
    tokens.insert(tokens.end(), past_.begin() + static_cast<std::ptrdiff_t>(from), past_.end());
  }
  *start = static_cast<int>(tokens.size());
  const auto control = control_tokens();
  tokens.insert(tokens.end(), control.begin(), control.end());
  if (!options_.timestamps) tokens.push_back(tokenizer_.no_timestamps);
  if (seek_ == 0 && !options_.prefix.empty()) {
    auto prefix = tokenizer_.encode(" " + std::string(strip(options_.prefix)));
    if (prefix.size() >= half) prefix.resize(half - 1);
    if (options_.timestamps) tokens.push_back(tokenizer_.first_timestamp);
    prefix.resize(std::min(prefix.size(), 2 * half - 1 - std::min(tokens.size(), 2 * half - 1)));  // one place for text is left
    tokens.insert(tokens.end(), prefix.begin(), prefix.end());
  }
  return tokens;
}

void Transcription::search() {
  const int positions = recognizer_.model().info().text_positions;
  TokenRules rules;
  rules.tokenizer = &tokenizer_;
  rules.timestamps = options_.timestamps;
  int start = 0;
  auto tokens = prompt(&start);
  SearchOptions search;
  search.temperature = options_.temperatures[outcomes_.size()];
  search.beams = options_.beam_size;
  search.best_of = options_.best_of;
  search.patience = options_.patience;
  search.max_tokens = std::max(1, std::min(positions / 2, positions - static_cast<int>(tokens.size())));
  search.seed = mix64(options_.seed ^ mix64(static_cast<uint64_t>(window_number_) << 8 | outcomes_.size()));
  decoding_.reset();  // its pages are the next one's
  decoding_ = std::make_unique<Decoding>(recognizer_.pages(), *audio_, std::move(tokens), start, rules, search);
}

// Higher temperatures until a text is neither repetitive nor unlikely; where none is, the likeliest of those that
// did not repeat themselves. Nothing: another temperature is to be tried.
std::optional<Transcription::Outcome> Transcription::judge(Decoded decoded) {
  Outcome outcome;
  outcome.temperature = options_.temperatures[outcomes_.size()];
  outcome.no_speech_prob = decoded.no_speech_probability;
  outcome.avg_logprob = decoded.best.log_probability / static_cast<double>(decoded.best.tokens.size() + 1);
  outcome.compression_ratio = compression_ratio(strip(tokenizer_.decode(decoded.best.tokens)));
  outcome.hypothesis = std::move(decoded.best);
  tokens_made_ += static_cast<int64_t>(outcome.hypothesis.tokens.size());
  const bool repeats = options_.compression_ratio_threshold && outcome.compression_ratio > *options_.compression_ratio_threshold;
  const bool unlikely = options_.log_prob_threshold && outcome.avg_logprob < *options_.log_prob_threshold;
  const bool silent = unlikely && options_.no_speech_threshold && outcome.no_speech_prob > *options_.no_speech_threshold;
  if (silent || (!repeats && !unlikely)) return outcome;
  if (!repeats) sober_.push_back(outcomes_.size());
  outcomes_.push_back(std::move(outcome));
  if (outcomes_.size() < options_.temperatures.size()) return std::nullopt;
  if (sober_.empty()) {
    for (size_t i = 0; i < outcomes_.size(); ++i) sober_.push_back(i);
  }
  const size_t best = *std::ranges::max_element(sober_, {}, [&](size_t i) { return outcomes_[i].avg_logprob; });
  const float last = outcomes_.back().temperature;
  Outcome chosen = std::move(outcomes_[best]);
  chosen.temperature = last;
  return chosen;
}

bool Transcription::is_silence(const Outcome& outcome) const {
  if (!options_.no_speech_threshold || outcome.no_speech_prob <= *options_.no_speech_threshold) return false;
  return !options_.log_prob_threshold || outcome.avg_logprob <= *options_.log_prob_threshold;
}

Result<> Transcription::prepare() {
  const int frames = recognizer_.model().info().audio_positions * kFramesPerPosition;
  window_.seek = seek_;
  window_.size = std::min<int64_t>(frames, clip_.frames() - seek_);
  const int64_t padded = window_.size + std::llround(options_.padding_s * kFramesPerSecond);
  encoder_frames_ = static_cast<int>(std::min<int64_t>(frames, (padded + kFramesPerPosition - 1) / kFramesPerPosition * kFramesPerPosition));
  mel_.resize(static_cast<size_t>(encoder_frames_) * static_cast<size_t>(recognizer_.model().info().mels));
  VERGE_TRY(clip_.window(seek_, encoder_frames_, mel_.data()));
  state_ = State::Prepared;
  return {};
}

EncoderWindow Transcription::window(EncodedAudio* memory) {
  audio_ = memory;
  return {mel_.data(), encoder_frames_, memory};
}

void Transcription::encoded() {
  if (language_.empty()) {
    const auto found = recognizer_.detect_language(*audio_);
    language_ = found.front().first;
    language_probability_ = found.front().second;
  }
  outcomes_.clear();
  sober_.clear();
  search();
  state_ = State::Decoding;
}

void Transcription::stepped() {
  if (!decoding_->done()) return;
  auto outcome = judge(decoding_->result());
  if (!outcome) return search();
  decoding_.reset();
  finish(std::move(*outcome));
  ++window_number_;
  state_ = seek_ >= clip_.frames() ? State::Done : State::Wanting;
}

Result<> Transcription::step(const std::function<bool()>& stop) {
  VERGE_TRY(prepare());
  const EncoderWindow encoder_window[] = {window(&own_)};
  VERGE_TRY(recognizer_.model().encode(encoder_window));
  encoded();
  while (state_ == State::Decoding) {
    if (stop && stop()) return fail(Code::Aborted, "the client left");
    Decoding* const alone[] = {decoding()};
    recognizer_.step(alone);
    stepped();
  }
  return {};
}

void Transcription::finish(Outcome outcome) {
  const Window& window = window_;
  if (is_silence(outcome)) {
    seek_ += window.size;
    return;
  }
  std::vector<SpeechSegment> found;
  const bool single_ending = split(window, outcome, &found);
  if (options_.words && options_.timestamps) {
    add_words(window, found);
    const auto last = std::find_if(found.rbegin(), found.rend(), [](const SpeechSegment& s) { return !s.words.empty(); });
    const double end = last != found.rend() ? last->words.back().end : found.empty() ? 0 : found.back().end;
    if (!single_ending && end > window.offset()) seek_ = std::llround(end * kFramesPerSecond);
    const bool again = options_.hallucination_silence_threshold && skip_hallucinations(window, &found);
    seek_ = std::max(seek_, window.seek + 1);  // a window that says nothing new must not be read for ever
    if (again) return;
    const auto spoken = std::find_if(found.rbegin(), found.rend(), [](const SpeechSegment& s) { return !s.words.empty(); });
    if (spoken != found.rend()) last_speech_ = spoken->words.back().end;
  }
  seek_ = std::max(seek_, window.seek + 1);
  keep(std::move(found), outcome.temperature);
}

bool Transcription::split(const Window& window, const Outcome& outcome, std::vector<SpeechSegment>* found) {
  const auto& tokens = outcome.hypothesis.tokens;
  const int32_t first = tokenizer_.first_timestamp;
  const auto stamp = [&](size_t i) { return tokens[i] >= first; };
  const auto seconds = [&](int32_t token) { return window.offset() + (token - first) * kTimestampStep; };
  const auto add = [&](double start, double end, size_t from, size_t to) {
    SpeechSegment segment;
    segment.seek = window.seek;
    segment.start = start;
    segment.end = end;
    segment.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.begin() + static_cast<std::ptrdiff_t>(to));
    segment.temperature = outcome.temperature;
    segment.avg_logprob = outcome.avg_logprob;
    segment.compression_ratio = outcome.compression_ratio;
    segment.no_speech_prob = outcome.no_speech_prob;
    found->push_back(std::move(segment));
  };
  const bool single_ending = tokens.size() >= 2 && !stamp(tokens.size() - 2) && stamp(tokens.size() - 1);
  std::vector<size_t> cuts;
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (stamp(i) && stamp(i - 1)) cuts.push_back(i);
  }
  if (cuts.empty()) {
    double duration = window.seconds();
    const auto last = std::find_if(tokens.rbegin(), tokens.rend(), [&](int32_t id) { return id >= first; });
    if (last != tokens.rend() && *last != first) duration = (*last - first) * kTimestampStep;
    add(window.offset(), window.offset() + duration, 0, tokens.size());
    seek_ += window.size;
    return single_ending;
  }
  if (single_ending) cuts.push_back(tokens.size());
  size_t from = 0;
  for (size_t to : cuts) {
    add(seconds(tokens[from]), seconds(tokens[to - 1]), from, to);
    from = to;
  }
  seek_ += single_ending ? window.size : int64_t{tokens[from - 1] - first} * kFramesPerPosition;
  return single_ending;
}

void Transcription::add_words(const Window& window, std::span<SpeechSegment> found) {
  std::vector<int32_t> text;
  for (const SpeechSegment& segment : found) {
    std::copy_if(segment.tokens.begin(), segment.tokens.end(), std::back_inserter(text), [&](int32_t id) { return id < tokenizer_.end; });
  }
  if (text.empty()) return;
  std::vector<int32_t> tokens = control_tokens();
  const size_t control = tokens.size();
  tokens.push_back(tokenizer_.no_timestamps);
  tokens.insert(tokens.end(), text.begin(), text.end());
  tokens.push_back(tokenizer_.end);
  std::vector<float> scores, probabilities;
  recognizer_.align(*audio_, tokens, &scores, &probabilities);
  const int rows = static_cast<int>(tokens.size()), stride = audio_->layers.front()->rows;
  const int frames = std::clamp(static_cast<int>(window.size / kFramesPerPosition), 1, stride);
  const auto matrix = alignment_matrix(scores, static_cast<int>(recognizer_.alignment_heads().size()), rows, stride, frames);
  // A row tells where the token after it is: from "no timestamps" (the first word's) to the last word's (the end's).
  const std::span<const float> aligned = std::span(matrix).subspan(control * static_cast<size_t>(frames), (text.size() + 1) * static_cast<size_t>(frames));
  const auto starts = warp(aligned, static_cast<int>(text.size()) + 1, frames);
  auto words = word_times(tokenizer_, text, language_, starts, std::span<const float>(probabilities).subspan(control + 1));
  double last_speech = last_speech_;
  assign_words(std::move(words), found, tokenizer_.end, &last_speech);
}

bool Transcription::skip_hallucinations(const Window& window, std::vector<SpeechSegment>* found) {
  const double threshold = *options_.hallucination_silence_threshold;
  const SpeechSegment* first = first_with_words(*found);
  if (is_anomaly(first) && first->start - window.offset() > threshold) {
    seek_ = window.seek + std::llround((first->start - window.offset()) * kFramesPerSecond);
    return true;
  }
  const double content = static_cast<double>(clip_.frames()) / kFramesPerSecond;
  const double window_end = window.offset() + recognizer_.model().info().audio_positions * kTimestampStep;
  double last_end = last_speech_;
  for (size_t i = 0; i < found->size(); ++i) {
    const SpeechSegment& segment = (*found)[i];
    if (segment.words.empty()) continue;
    if (is_anomaly(&segment)) {
      const SpeechSegment* next = first_with_words(std::span<const SpeechSegment>(*found).subspan(i + 1));
      const double next_start = next ? next->words.front().start : window.offset() + window.seconds();
      const bool before = segment.start - last_end > threshold || segment.start < threshold || segment.start - window.offset() < 2;
      const bool after = next_start - segment.end > threshold || is_anomaly(next) || window_end - segment.end < 2;
      if (before && after) {
        seek_ = std::llround(std::max(window.offset() + 1, segment.start) * kFramesPerSecond);
        if (content - segment.end < threshold) seek_ = clip_.frames();
        found->resize(i);
        return false;
      }
    }
    last_end = segment.end;
  }
  return false;
}

void Transcription::keep(std::vector<SpeechSegment> found, float temperature) {
  for (SpeechSegment& segment : found) {
    segment.text = tokenizer_.decode(segment.tokens);
    if (segment.start == segment.end || strip(segment.text).empty()) continue;
    past_.insert(past_.end(), segment.tokens.begin(), segment.tokens.end());
    segments_.push_back(std::move(segment));
  }
  if (!options_.condition_on_previous_text || temperature > kPromptResetTemperature) past_from_ = past_.size();
}

}  // namespace verge::engine
