#include "api/tasks/speech_answers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/languages.h"

namespace verge::api {
namespace {

const json::array& segments_of(const json::object& result) {
  static const json::array kNone;
  const json::array* list = get_array(result, "segments");
  return list ? *list : kNone;
}

double number(const json::object& object, std::string_view key) { return get_number(object, key).value_or(0); }
std::string text(const json::object& object, std::string_view key) { return get_string(object, key).value_or(""); }

// "01:02:03.450", or with a comma as SubRip has it.
std::string clock_time(double seconds, char point) {
  const auto ms = static_cast<int64_t>(std::llround(std::max(0.0, seconds) * 1000));
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, point, ms % 1000);
}

std::string trimmed(std::string word) {
  word.erase(0, word.find_first_not_of(' '));
  return word;
}

json::array words_of(const json::object& segment) {
  json::array out;
  const json::array* words = get_array(segment, "words");
  if (!words) return out;
  for (const json::value& item : *words) {
    const json::object& word = item.get_object();
    out.push_back({{"word", trimmed(text(word, "word"))}, {"start", number(word, "start")}, {"end", number(word, "end")}});
  }
  return out;
}

json::object native_segment(const json::object& segment) {
  return {{"start", number(segment, "start")},
          {"end", number(segment, "end")},
          {"text", text(segment, "text")},
          {"temperature", number(segment, "temperature")},
          {"avg_logprob", number(segment, "avg_logprob")},
          {"compression_ratio", number(segment, "compression_ratio")},
          {"no_speech_prob", number(segment, "no_speech_prob")},
          {"words", words_of(segment)}};
}

}  // namespace

std::string web_vtt(const json::object& result) {
  std::string out = "WEBVTT\n\n";
  for (const json::value& item : segments_of(result)) {
    const json::object& segment = item.get_object();
    // An arrow inside a cue's text would end it.
    std::string line = text(segment, "text");
    for (size_t at; (at = line.find("-->")) != line.npos;) line.replace(at, 3, "->");
    out += fmt::format("{} --> {}\n{}\n\n", clock_time(number(segment, "start"), '.'), clock_time(number(segment, "end"), '.'), line);
  }
  return out;
}

std::string sub_rip(const json::object& result) {
  std::string out;
  int count = 0;
  for (const json::value& item : segments_of(result)) {
    const json::object& segment = item.get_object();
    std::string line = text(segment, "text");
    for (size_t at; (at = line.find("-->")) != line.npos;) line.replace(at, 3, "->");
    out += fmt::format("{}\n{} --> {}\n{}\n\n", ++count, clock_time(number(segment, "start"), ','), clock_time(number(segment, "end"), ','), line);
  }
  return out;
}

json::object native_part(const json::object& part) {
  json::array segments;
  for (const json::value& item : segments_of(part)) segments.push_back(native_segment(item.get_object()));
  return {{"text", text(part, "text")}, {"segments", std::move(segments)}, {"seconds", number(part, "seconds")}, {"duration", number(part, "duration")}};
}

json::object native_transcript(const json::object& result) {
  json::array words, segments;
  for (const json::value& item : segments_of(result)) {
    const json::array own = words_of(item.get_object());
    words.insert(words.end(), own.begin(), own.end());
    segments.push_back(native_segment(item.get_object()));
  }
  const double duration = number(result, "duration");
  const size_t count = words.size();
  return {{"transcription_info",
           {{"language", text(result, "language")},
            {"language_probability", number(result, "language_probability")},
            {"duration", duration},
            {"duration_after_vad", number(result, "duration_after_vad")}}},
          {"text", text(result, "text")},
          {"word_count", count},
          {"words", std::move(words)},
          {"segments", std::move(segments)},
          {"duration", duration},
          {"vtt", web_vtt(result)}};
}

json::object verbose_transcript(const json::object& result, bool translated, bool words, bool segments) {
  json::object out{{"task", translated ? "translate" : "transcribe"},
                   {"language", language_name(text(result, "language"))},
                   {"duration", number(result, "duration")},
                   {"text", text(result, "text")}};
  json::array list, all_words;
  int id = 0;
  for (const json::value& item : segments_of(result)) {
    const json::object& segment = item.get_object();
    const json::array own = words_of(segment);
    all_words.insert(all_words.end(), own.begin(), own.end());
    const json::array* tokens = get_array(segment, "tokens");
    list.push_back({{"id", id++},
                    {"seek", static_cast<int64_t>(std::llround(number(segment, "seek")))},
                    {"start", number(segment, "start")},
                    {"end", number(segment, "end")},
                    {"text", text(segment, "text")},
                    {"tokens", tokens ? *tokens : json::array()},
                    {"temperature", number(segment, "temperature")},
                    {"avg_logprob", number(segment, "avg_logprob")},
                    {"compression_ratio", number(segment, "compression_ratio")},
                    {"no_speech_prob", number(segment, "no_speech_prob")}});
  }
  if (segments) out["segments"] = std::move(list);
  if (words) out["words"] = std::move(all_words);
  return out;
}

}  // namespace verge::api
