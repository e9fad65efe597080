// Text to speech between api and worker. The sound travels as it is: a Part for each sentence or so,
// whose blob is the next piece of the file; the blobs joined are the whole.
#pragma once

#include <optional>
#include <string>

#include "protocol/event.h"

namespace verge::protocol {

struct SpeakingParameters {
  std::string text;      // not empty
  std::string encoding;  // "linear16", "flac", "mulaw", "alaw", "mp3", "opus", "aac"
  bool wav = false;      // of linear16, mulaw and alaw: in a WAV file; else samples alone
  int64_t sample_rate = 0;  // Hz
  int64_t bit_rate = 0;     // bits a second, of mp3, opus and aac
  double speed = 1;         // 0.25 to 4
  std::optional<std::string> language;  // "en"; a voice of another is no answer
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("text", self.text);
    visit("encoding", self.encoding);
    visit("wav", self.wav);
    visit("sample_rate", self.sample_rate);
    visit("bit_rate", self.bit_rate);
    visit("speed", self.speed);
    visit("language", self.language);
  }
  bool operator==(const SpeakingParameters&) const = default;
};
json::object to_json(const SpeakingParameters& parameters);
// Errors: InvalidInput for an empty text, TooLarge past limits::kSpokenTextBytes.
verge::Result<SpeakingParameters> speaking_parameters(const json::object& params);

// What the whole came to.
struct Spoken {
  double duration = 0;  // seconds
  int64_t sentences = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("duration", self.duration);
    visit("sentences", self.sentences);
  }
  bool operator==(const Spoken&) const = default;
};
Result to_result(const Spoken& spoken);
verge::Result<Spoken> spoken(const Result& result);

}  // namespace verge::protocol
