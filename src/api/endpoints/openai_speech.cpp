// OpenAI's /audio/speech: a text to a sound file, as it is made; or as events, speech.audio.delta for
// each piece in base64 and speech.audio.done at the end.
#include <algorithm>

#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/generation.h"
#include "api/sse.h"
#include "api/tasks/parameters.h"
#include "api/tasks/text_to_speech.h"
#include "support/base64.h"

namespace verge::api {
namespace {

constexpr std::string_view kVoices[] = {"alloy", "ash",     "ballad", "cedar", "coral", "echo", "fable",
                                        "marin", "nova",    "onyx",   "sage",  "shimmer", "verse"};

// The names of formats -> Aura's words for them.
struct Format {
  std::string_view name, encoding, container;
  std::string_view content_type;  // where it is another than Aura's
};
constexpr Format kFormats[] = {
    {"mp3", "mp3", "", ""},   {"opus", "opus", "ogg", ""},     {"aac", "aac", "", ""},
    {"flac", "flac", "", ""}, {"wav", "linear16", "wav", ""}, {"pcm", "linear16", "none", "audio/pcm"},
};

class SoundEvents : public AnswerFormat {
 public:
  json::value whole(const std::vector<Answer>&) override { return nullptr; }  // never: it is a stream
  std::string piece(size_t, const protocol::Token&) override { return {}; }
  std::string part(size_t, const protocol::Part& part) override {
    return sse_event(json::object{{"type", "speech.audio.delta"}, {"audio", base64_encode(part.blob.bytes)}});
  }
  std::string closing(const std::vector<Answer>& answers) override {
    // A voice counts characters, not tokens; these are what OpenAI's fields hold.
    const int64_t characters = answers.front().usage.characters;
    return sse_event(json::object{{"type", "speech.audio.done"},
                                  {"usage", {{"input_tokens", characters}, {"output_tokens", 0}, {"total_tokens", characters}}}});
  }
  std::string failure(const Published& error, std::string_view request_id) override {
    return sse_event(error_body(error, Shape::OpenAi, request_id));
  }
};

struct Speech {
  const catalogue::Entry* entry = nullptr;
  protocol::SpeakingParameters params;
  std::string content_type;
  bool events = false;
};

Result<std::string> read_voice(const Params& in) {
  const json::value* voice = in.find("voice");
  if (!voice) return fail(Code::InvalidInput, "required properties at '/' are 'model,input,voice'");
  const json::object* custom = voice->if_object();
  std::optional<std::string> name = custom ? get_string(*custom, "id") : std::nullopt;
  if (voice->is_string()) name = std::string(voice->get_string());
  if (!name || std::ranges::find(kVoices, *name) == std::end(kVoices)) {
    return fail_at(Code::InvalidInput, "/voice", "'/voice' must be one of {}", fmt::join(kVoices, ", "));
  }
  return *name;
}

Result<Speech> read_speech(Call& call) {
  VERGE_ASSIGN(body, body_object(call));
  const auto model = get_string(body, "model");
  if (!model) return fail(Code::InvalidInput, "required properties at '/' are 'model,input,voice'");
  VERGE_ASSIGN(entry, find_model(call, *model, "text-to-speech"));
  VERGE_ASSIGN(ignored, check_parameters(Surface::Speech, body));
  note_ignored(call, std::move(ignored));
  Params in(body);
  Speech out;
  out.entry = entry;
  const auto input = in.text("input");
  const std::string format = in.text("response_format").value_or("mp3");
  out.params.speed = in.number("speed", 0.25, 4).value_or(1);
  const std::string stream_format = in.text("stream_format").value_or("audio");
  if (!in.ok()) return in.error();
  if (!input) return fail(Code::InvalidInput, "required properties at '/' are 'model,input,voice'");
  if (input->empty()) return fail_at(Code::InvalidInput, "/input", "Length of '/input' must be >= 1");
  VERGE_TRY(read_voice(in));
  out.params.text = *input;
  const auto* found = std::ranges::find(kFormats, format, &Format::name);
  if (found == std::end(kFormats)) {
    return fail_at(Code::InvalidInput, "/response_format", "'/response_format' must be one of mp3, opus, aac, flac, wav, pcm");
  }
  if (stream_format != "audio" && stream_format != "sse") {
    return fail_at(Code::InvalidInput, "/stream_format", "'/stream_format' must be one of audio, sse");
  }
  out.events = stream_format == "sse";
  SoundWish wish;
  wish.encoding = std::string(found->encoding);
  if (!found->container.empty()) wish.container = std::string(found->container);
  VERGE_ASSIGN(type, choose_sound(wish, &out.params));
  out.content_type = found->content_type.empty() ? std::move(type) : std::string(found->content_type);
  return out;
}

}  // namespace

http::task<void> openai_speech(Call& call) {
  auto read = read_speech(call);
  if (!read) { return respond_error(call, read.error()); }
  std::vector<protocol::Request> requests;
  requests.push_back(make_request(call, *read->entry, {}));
  requests.front().params = protocol::to_json(read->params);
  std::unique_ptr<AnswerFormat> format;
  if (read->events) format = std::make_unique<SoundEvents>();
  else format = bytes_answer(std::move(read->content_type));
  return generate(call, std::move(requests), std::move(format), true);
}

}  // namespace verge::api
