#include "engine/speech/align.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/speech/mel.h"

namespace verge::engine {
namespace {

constexpr int kMedian = 7;
constexpr double kPositionsPerSecond = kFramesPerSecond / 2.0;
constexpr std::string_view kPrepended = "\"'“¿([{-";
constexpr std::string_view kAppended = "\"'.。,，!！?？:：”)]}、";
constexpr std::string_view kSentenceEnds = ".。!！?？";

// Python's `a in b` for strings.
bool within(std::string_view part, std::string_view whole) { return whole.find(part) != std::string_view::npos; }

std::string_view strip(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Medians of a row, its ends reflected. Rows of fewer than four are left alone, as the reference does.
void smooth(std::span<float> row) {
  const int n = static_cast<int>(row.size()), half = kMedian / 2;
  if (n <= half) return;
  const std::vector<float> source(row.begin(), row.end());
  const auto reflected = [&](int i) { return source[static_cast<size_t>(i < 0 ? -i : i >= n ? 2 * n - 2 - i : i)]; };
  for (int i = 0; i < n; ++i) {
    std::array<float, kMedian> near;
    for (int j = 0; j < kMedian; ++j) near[static_cast<size_t>(j)] = reflected(i + j - half);
    std::nth_element(near.begin(), near.begin() + half, near.end());
    row[static_cast<size_t>(i)] = near[half];
  }
}

double round_to_hundredths(double x) { return std::round(x * 100) / 100; }

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void cut_at_sentence_ends(std::vector<WordTime>& words, double longest) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].end - words[i].start <= longest) continue;
    if (within(words[i].word, kSentenceEnds)) words[i].end = words[i].start + longest;
    else if (within(words[i - 1].word, kSentenceEnds)) words[i].start = words[i].end - longest;
  }
}

void append(std::vector<int32_t>& to, const std::vector<int32_t>& from) { to.insert(to.end(), from.begin(), from.end()); }

// An emptied word stays in the list, so that the count of tokens goes on.
void join_punctuation(std::vector<WordTime>& words) {
  for (int i = static_cast<int>(words.size()) - 2, j = i + 1; i >= 0; --i) {
    WordTime &previous = words[static_cast<size_t>(i)], &following = words[static_cast<size_t>(j)];
    if (previous.word.starts_with(' ') && within(strip(previous.word), kPrepended)) {
      following.word = previous.word + following.word;
      append(previous.tokens, following.tokens);
      following.tokens = std::move(previous.tokens);
      previous.word.clear();
      previous.tokens.clear();
    } else {
      j = i;
    }
  }
  for (size_t i = 0, j = 1; j < words.size(); ++j) {
    WordTime &previous = words[i], &following = words[j];
    if (!previous.word.ends_with(' ') && within(following.word, kAppended)) {
      previous.word += following.word;
      append(previous.tokens, following.tokens);
      following.word.clear();
      following.tokens.clear();
    } else {
      i = j;
    }
  }
}

// The first words after a pause, and the segment's own ends where its words' are out of all proportion.
void fit(SpeechSegment& segment, double median, double last_speech) {
  auto& words = segment.words;
  const double longest = 2 * median;
  WordTime& first = words.front();
  const auto length = [](const WordTime& word) { return word.end - word.start; };
  if (first.end - last_speech > 4 * median &&
      (length(first) > longest || (words.size() > 1 && words[1].end - first.start > 2 * longest))) {
    if (words.size() > 1 && length(words[1]) > longest) {
      const double boundary = std::max(words[1].end / 2, words[1].end - longest);
      first.end = words[1].start = boundary;
    }
    first.start = std::max(0.0, first.end - longest);
  }
  if (segment.start < first.end && segment.start - 0.5 > first.start) first.start = std::max(0.0, std::min(first.end - median, segment.start));
  else segment.start = first.start;
  WordTime& last = words.back();
  if (segment.end > last.start && segment.end + 0.5 < last.end) last.end = std::max(last.start + median, segment.end);
  else segment.end = last.end;
}

}  // namespace

std::vector<float> alignment_matrix(std::span<const float> scores, int heads, int rows, int stride, int frames) {
  std::vector<float> matrix(static_cast<size_t>(rows) * static_cast<size_t>(frames)), one(matrix.size());
  for (int h = 0; h < heads; ++h) {
    for (int r = 0; r < rows; ++r) {
      const float* from = scores.data() + (static_cast<size_t>(h) * static_cast<size_t>(rows) + static_cast<size_t>(r)) * static_cast<size_t>(stride);
      float* to = one.data() + static_cast<size_t>(r) * static_cast<size_t>(frames);
      const float top = *std::max_element(from, from + frames);
      float sum = 0;
      for (int f = 0; f < frames; ++f) sum += to[f] = std::exp(from[f] - top);
      for (int f = 0; f < frames; ++f) to[f] /= sum;
    }
    for (int f = 0; f < frames; ++f) {
      double mean = 0, squares = 0;
      const auto at = [&](int r) -> float& { return one[static_cast<size_t>(r) * static_cast<size_t>(frames) + static_cast<size_t>(f)]; };
      for (int r = 0; r < rows; ++r) mean += at(r);
      mean /= rows;
      for (int r = 0; r < rows; ++r) squares += (at(r) - mean) * (at(r) - mean);
      const double deviation = std::sqrt(squares / rows);
      for (int r = 0; r < rows; ++r) at(r) = deviation > 0 ? static_cast<float>((at(r) - mean) / deviation) : 0;
    }
    for (int r = 0; r < rows; ++r) smooth({one.data() + static_cast<size_t>(r) * static_cast<size_t>(frames), static_cast<size_t>(frames)});
    for (size_t i = 0; i < matrix.size(); ++i) matrix[i] += one[i] / static_cast<float>(heads);
  }
  return matrix;
}

std::vector<int> warp(std::span<const float> matrix, int rows, int frames) {
  const auto width = static_cast<size_t>(frames) + 1;
  enum Step : uint8_t { Diagonal, Up, Left };
  std::vector<double> above(width, std::numeric_limits<double>::infinity()), current(width);
  above[0] = 0;
  std::vector<uint8_t> trace((static_cast<size_t>(rows) + 1) * width, Left);
  for (size_t j = 0; j < width; ++j) trace[j] = Left;
  for (size_t i = 1; i <= static_cast<size_t>(rows); ++i) {
    current[0] = std::numeric_limits<double>::infinity();
    trace[i * width] = Up;
    for (size_t j = 1; j < width; ++j) {
      const double diagonal = above[j - 1], up = above[j], left = current[j - 1];
      const Step step = diagonal < up && diagonal < left ? Diagonal : up < diagonal && up < left ? Up : Left;
      const double before = step == Diagonal ? diagonal : step == Up ? up : left;
      current[j] = before - matrix[(i - 1) * static_cast<size_t>(frames) + j - 1];
      trace[i * width + j] = step;
    }
    std::swap(above, current);
  }
  std::vector<int> starts(static_cast<size_t>(rows), 0);
  for (size_t i = static_cast<size_t>(rows), j = width - 1; i > 0 && j > 0;) {
    starts[i - 1] = static_cast<int>(j) - 1;
    switch (trace[i * width + j]) {
      case Diagonal: --i, --j; break;
      case Up: --i; break;
      default: --j; break;
    }
  }
  return starts;
}

std::vector<WordTime> word_times(const WhisperTokenizer& tokenizer, std::span<const int32_t> text, std::string_view language,
                                 std::span<const int> starts, std::span<const float> probabilities) {
  std::vector<WordTime> times;
  size_t at = 0;
  for (WhisperTokenizer::Word& word : tokenizer.split_words(text, language)) {
    const size_t end = at + word.tokens.size();
    double probability = 0;
    for (size_t i = at; i < end; ++i) probability += probabilities[i];
    times.push_back({std::move(word.text), starts[at] / kPositionsPerSecond, starts[end] / kPositionsPerSecond,
                     probability / static_cast<double>(end - at), std::move(word.tokens)});
    at = end;
  }
  return times;
}

void assign_words(std::vector<WordTime> words, std::span<SpeechSegment> segments, int32_t end_token, double* last_speech) {
  std::vector<double> durations;
  for (const WordTime& word : words) {
    if (word.end != word.start) durations.push_back(word.end - word.start);
  }
  const double median = std::min(0.7, median_of(durations));
  if (!durations.empty()) cut_at_sentence_ends(words, 2 * median);
  if (!words.empty()) join_punctuation(words);
  size_t next = 0;
  for (SpeechSegment& segment : segments) {
    const double offset = static_cast<double>(segments.front().seek) / kFramesPerSecond;
    const auto tokens = static_cast<size_t>(std::count_if(segment.tokens.begin(), segment.tokens.end(), [&](int32_t id) { return id < end_token; }));
    for (size_t saved = 0; next < words.size() && saved < tokens; ++next) {
      WordTime& word = words[next];
      saved += word.tokens.size();
      if (word.word.empty()) continue;
      word.start = round_to_hundredths(offset + word.start);
      word.end = round_to_hundredths(offset + word.end);
      segment.words.push_back(std::move(word));
    }
    if (segment.words.empty()) continue;
    fit(segment, median, *last_speech);
    *last_speech = segment.end;
  }
}

}  // namespace verge::engine
