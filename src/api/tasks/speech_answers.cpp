#include "api/tasks/speech_answers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/languages.h"

namespace verge::api {
namespace {

// "01:02:03.450", or with a comma as SubRip has it.
std::string clock_time(double seconds, char point) {
  const auto ms = static_cast<int64_t>(std::llround(std::max(0.0, seconds) * 1000));
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, point, ms % 1000);
}

std::string trimmed(std::string word) {
  word.erase(0, word.find_first_not_of(' '));
  return word;
}

json::array words_of(const protocol::TranscriptSegment& segment) {
  json::array out;
  for (const protocol::TranscriptWord& word : segment.words)
    out.push_back({{"word", trimmed(word.word)}, {"start", word.start}, {"end", word.end}});
  return out;
}

json::object native_segment(const protocol::TranscriptSegment& segment) {
  return {{"start", segment.start},
          {"end", segment.end},
          {"text", segment.text},
          {"temperature", segment.temperature},
          {"avg_logprob", segment.avg_logprob},
          {"compression_ratio", segment.compression_ratio},
          {"no_speech_prob", segment.no_speech_prob},
          {"words", words_of(segment)}};
}

}  // namespace

std::string web_vtt(const protocol::Transcript& result) {
  std::string out = "WEBVTT\n\n";
  for (const protocol::TranscriptSegment& segment : result.segments) {
    // An arrow inside a cue's text would end it.
    std::string line = segment.text;
    for (size_t at; (at = line.find("-->")) != line.npos;) line.replace(at, 3, "->");
    out += fmt::format("{} --> {}\n{}\n\n", clock_time(segment.start, '.'), clock_time(segment.end, '.'), line);
  }
  return out;
}

std::string sub_rip(const protocol::Transcript& result) {
  std::string out;
  int count = 0;
  for (const protocol::TranscriptSegment& segment : result.segments) {
    std::string line = segment.text;
    for (size_t at; (at = line.find("-->")) != line.npos;) line.replace(at, 3, "->");
    out += fmt::format("{}\n{} --> {}\n{}\n\n", ++count, clock_time(segment.start, ','), clock_time(segment.end, ','), line);
  }
  return out;
}

json::object native_part(const protocol::TranscriptPart& part) {
  json::array segments;
  for (const protocol::TranscriptSegment& segment : part.segments) segments.push_back(native_segment(segment));
  return {{"text", part.text}, {"segments", std::move(segments)}, {"seconds", part.seconds}, {"duration", part.duration}};
}

json::object native_transcript(const protocol::Transcript& result) {
  json::array words, segments;
  for (const protocol::TranscriptSegment& segment : result.segments) {
    const json::array own = words_of(segment);
    words.insert(words.end(), own.begin(), own.end());
    segments.push_back(native_segment(segment));
  }
  const double duration = result.duration;
  const size_t count = words.size();
  return {{"transcription_info",
           {{"language", result.language},
            {"language_probability", result.language_probability},
            {"duration", duration},
            {"duration_after_vad", result.duration_after_vad}}},
          {"text", result.text},
          {"word_count", count},
          {"words", std::move(words)},
          {"segments", std::move(segments)},
          {"duration", duration},
          {"vtt", web_vtt(result)}};
}

json::object verbose_transcript(const protocol::Transcript& result, bool translated, bool words, bool segments) {
  json::object out{{"task", translated ? "translate" : "transcribe"},
                   {"language", language_name(result.language)},
                   {"duration", result.duration},
                   {"text", result.text}};
  json::array list, all_words;
  int id = 0;
  for (const protocol::TranscriptSegment& segment : result.segments) {
    const json::array own = words_of(segment);
    all_words.insert(all_words.end(), own.begin(), own.end());
    const json::array tokens(segment.tokens.begin(), segment.tokens.end());
    list.push_back({{"id", id++},
                    {"seek", 0},
                    {"start", segment.start},
                    {"end", segment.end},
                    {"text", segment.text},
                    {"tokens", tokens},
                    {"temperature", segment.temperature},
                    {"avg_logprob", segment.avg_logprob},
                    {"compression_ratio", segment.compression_ratio},
                    {"no_speech_prob", segment.no_speech_prob}});
  }
  if (segments) out["segments"] = std::move(list);
  if (words) out["words"] = std::move(all_words);
  return out;
}

}  // namespace verge::api
