#include "api/tasks/text_to_speech.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "api/languages.h"
#include "api/tasks/parameters.h"
#include "api/tasks/text_embeddings.h"
#include "support/base64.h"

namespace verge::api {
namespace {

// As Deepgram publishes them. The first rate and the first bit rate are the defaults.
struct Encoding {
  std::string_view name, container;  // the container that it comes in; empty: none, or WAV
  std::vector<int64_t> rates;
  int64_t least = 0, most = 0, usual = 0;  // bits a second; 0: it has none to choose
  std::string_view content_type;
};
const std::vector<Encoding>& encodings() {
  static const std::vector<Encoding> all = {
      {"mp3", "none", {22050}, 32'000, 48'000, 48'000, "audio/mpeg"},
      {"linear16", "", {24000, 8000, 16000, 22050, 32000, 44100, 48000}, 0, 0, 0, "audio/l16"},
      {"mulaw", "", {8000, 16000}, 0, 0, 0, "audio/mulaw"},
      {"alaw", "", {8000, 16000}, 0, 0, 0, "audio/alaw"},
      {"flac", "none", {24000, 8000, 16000, 22050, 32000, 44100, 48000}, 0, 0, 0, "audio/flac"},
      {"opus", "ogg", {48000}, 6'000, 510'000, 24'000, "audio/ogg"},
      {"aac", "none", {22050}, 8'000, 128'000, 48'000, "audio/aac"},
  };
  return all;
}

Error no_choice(const char* name, std::string_view value, const std::string& choices) {
  return fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be {}, not {:.50}", name, choices, value);
}

}  // namespace

Result<std::string> choose_sound(const SoundWish& wish, protocol::SpeakingParameters* to) {
  const std::string container = wish.container.value_or("");
  std::string name = wish.encoding.value_or(container == "wav" ? "linear16" : container == "ogg" ? "opus" : "mp3");
  const auto found = std::ranges::find(encodings(), name, &Encoding::name);
  if (found == encodings().end()) return no_choice("encoding", name, "one of linear16, flac, mulaw, alaw, mp3, opus, aac");
  const Encoding& encoding = *found;
  const bool wraps = encoding.container.empty();
  const bool fits = container.empty() || (wraps ? container == "wav" || container == "none" : container == encoding.container);
  if (!fits) return no_choice("container", container, fmt::format("{} where '/encoding' is {}", wraps ? "wav or none" : encoding.container, name));
  to->encoding = name;
  to->wav = wraps && container != "none";
  to->sample_rate = wish.sample_rate.value_or(encoding.rates.front());
  if (std::ranges::find(encoding.rates, to->sample_rate) == encoding.rates.end()) {
    return no_choice("sample_rate", std::to_string(to->sample_rate), fmt::format("one of {} where '/encoding' is {}", fmt::join(encoding.rates, ", "), name));
  }
  if (wish.bit_rate && encoding.most == 0) {
    return fail_at(Code::InvalidInput, "/bit_rate", "'/bit_rate' cannot be chosen where '/encoding' is {}", name);
  }
  to->bit_rate = wish.bit_rate.value_or(encoding.usual);
  if (encoding.most > 0 && (to->bit_rate < encoding.least || to->bit_rate > encoding.most)) {
    return no_choice("bit_rate", std::to_string(to->bit_rate), fmt::format("{} to {} where '/encoding' is {}", encoding.least, encoding.most, name));
  }
  if (to->wav) return std::string("audio/wav");
  if (wraps) return fmt::format("{};rate={};channels=1", encoding.content_type, to->sample_rate);
  return std::string(encoding.content_type);
}

Result<TaskRequest> parse_speaking(TaskInput input, const catalogue::Entry&, const json::object& schema) {
  // What the tables refuse by name is told before what the schema lacks.
  VERGE_ASSIGN(inputs, checked_inputs(std::move(input), schema, Surface::NativeSpeaking));
  Params in(inputs.body);
  TaskRequest out;
  out.ignored = std::move(inputs.ignored);
  const auto prompt = in.text("prompt"), text = in.text("text"), lang = in.text("lang"), speaker = in.text("speaker");
  SoundWish wish;
  wish.encoding = in.text("encoding");
  wish.container = in.text("container");
  wish.sample_rate = in.integer("sample_rate", 1, 1'000'000);
  wish.bit_rate = in.integer("bit_rate", 1, 10'000'000);
  const auto speed = in.number("speed", 0.25, 4);
  if (!in.ok()) return in.error();
  if (prompt && text) return fail_at(Code::InvalidInput, "/prompt", "'/prompt' and '/text' cannot be answered together: send one of them");
  if (!prompt && !text) return fail(Code::InvalidInput, "required properties at '/' are 'text'");
  protocol::SpeakingParameters params;
  params.text = prompt ? *prompt : *text;
  const char* name = prompt ? "prompt" : "text";
  if (params.text.empty()) return fail_at(Code::InvalidInput, fmt::format("/{}", name), "Length of '/{}' must be >= 1", name);
  if (lang && !lang->empty()) {
    params.language = language_code(*lang);
    if (!params.language) return fail_at(Code::InvalidInput, "/lang", "'/lang' must be a language's code or English name, as 'en', not '{:.32}'", *lang);
  }
  params.speed = speed.value_or(1);
  VERGE_ASSIGN(type, choose_sound(wish, &params));
  if (text) out.stream_type = std::move(type);
  out.params = protocol::to_json(params);
  return out;
}

Result<json::value> speaking_answer(const Answer& answer, const json::object&) {
  VERGE_ASSIGN(spoken, protocol::spoken(answer.result));
  (void)spoken;
  return json::value(json::object{{"audio", base64_encode(answer.bytes)}});
}

}  // namespace verge::api
