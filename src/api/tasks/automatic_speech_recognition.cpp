#include "api/tasks/automatic_speech_recognition.h"

#include "api/base64.h"
#include "api/errors.h"
#include "api/languages.h"
#include "api/multipart.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "api/tasks/speech_answers.h"
#include "support/limits.h"

namespace verge::api {
namespace {

constexpr int kBeamsMost = 16;

Result<std::string> decoded_audio(std::string_view text, std::string_view pointer) {
  if (is_address(text)) return not_built(pointer, "addresses are not fetched; send the clip's bytes or base64");
  auto bytes = decode_base64(text);
  if (!bytes) return fail_at(Code::InvalidInput, std::string(pointer), "'{}' is not base64", pointer);
  return std::move(*bytes);
}

Result<std::string> audio_of(const json::object& body) {
  const json::value* audio = body.if_contains("audio");
  if (!audio || audio->is_null()) return fail(Code::InvalidInput, "required properties at '/' are 'audio'");
  if (const auto* text = audio->if_string()) return decoded_audio(*text, "/audio");
  if (const auto* object = audio->if_object()) {
    if (auto text = get_string(*object, "body")) return decoded_audio(*text, "/audio/body");
    return fail_at(Code::InvalidInput, "/audio", "required properties at '/audio' are 'body'");
  }
  if (audio->is_array()) return fail_at(Code::InvalidInput, "/audio", "'/audio' is an empty array");
  return fail_at(Code::InvalidInput, "/audio", "Type mismatch of '/audio', 'string,array' not in '{}'", type_name(*audio));
}

Result<void> read_form(const TaskInput& input, json::object* body, std::string* audio) {
  VERGE_ASSIGN(parts, parse_multipart(input.content_type, input.payload));
  bool found = false;
  for (FormPart& part : parts) {
    if (part.file || part.name == "audio" || part.name == "file") {
      if (found) return fail(Code::InvalidInput, "one clip can be read, the form has more");
      *audio = std::move(part.data);
      found = true;
    } else {
      if (body->contains(part.name)) return fail_at(Code::InvalidInput, fmt::format("/{}", part.name), "'/{}' was sent twice", part.name);
      VERGE_ASSIGN(text, text_of(part));
      (*body)[part.name] = json::string(text);
    }
  }
  if (!found) return fail(Code::InvalidInput, "required properties at '/' are 'audio'");
  return {};
}

}  // namespace

Result<protocol::SpeechParameters> speech_params(const json::object& body, ValuesAre values) {
  Params in(body, values);
  protocol::SpeechParameters params;
  auto task = in.text("task");
  if (task && *task != "transcribe" && *task != "translate") in.refuse(fail_at(Code::InvalidInput, "/task", "'/task' must be one of 'transcribe', 'translate'"));
  params.task = std::move(task);
  if (auto language = in.text("language"); language && !means_detection(*language)) {
    const auto code = language_code(*language);
    if (!code) in.refuse(fail_at(Code::InvalidInput, "/language", "'/language' must be a language's code or English name, as 'en', 'en-US' or 'english', not '{:.32}'", *language));
    else params.language = std::string(*code);
  }
  params.vad_filter = in.flag("vad_filter");
  params.initial_prompt = in.text("initial_prompt");
  params.prefix = in.text("prefix");
  params.beam_size = in.integer("beam_size", 1, kBeamsMost);
  params.condition_on_previous_text = in.flag("condition_on_previous_text");
  params.no_speech_threshold = in.number("no_speech_threshold", 0, 1);
  params.compression_ratio_threshold = in.number("compression_ratio_threshold", 0, 1000);
  params.log_prob_threshold = in.number("log_prob_threshold", -1000, 0);
  params.hallucination_silence_threshold = in.number("hallucination_silence_threshold", 0, 3600);
  params.encoder_padding = in.number("encoder_padding", 0, 30);  // ours
  params.temperature = in.number("temperature", 0, 1);
  if (!in.ok()) return in.error();
  return params;
}

Result<TaskRequest> parse_speech(TaskInput input, const catalogue::Entry&, const json::object&) {
  TaskRequest out;
  json::object body;
  if (json::object* object = input.json.if_object()) body = std::move(*object);
  else if (!input.json.is_null()) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in '{}'", type_name(input.json));
  if (!input.payload_key.empty() && input.payload_key != "audio") return fail(Code::InvalidInput, "required properties at '/' are 'audio'");
  const bool raw = input.payload_key.empty() && !input.payload.empty();
  const ValuesAre values = raw ? ValuesAre::Text : ValuesAre::Json;
  if (raw && is_multipart(input.content_type)) {
    VERGE_TRY(read_form(input, &body, &out.payload));
  } else if (raw || !input.payload_key.empty()) {
    out.payload = std::move(input.payload);
  } else {
    VERGE_ASSIGN(audio, audio_of(body));
    out.payload = std::move(audio);
  }
  if (out.payload.empty()) return fail(Code::InvalidInput, "the audio is empty");
  VERGE_ASSIGN(ignored, check_parameters(Surface::NativeSpeech, body));
  out.ignored = std::move(ignored);
  VERGE_ASSIGN(params, speech_params(body, values));
  Params in(body, values);
  out.stream = in.flag("stream").value_or(false);
  if (!in.ok()) return in.error();
  params.parts = out.stream;
  out.params = protocol::to_json(params);
  return out;
}

json::value speech_part(const protocol::Part& part) {
  const Result<protocol::TranscriptPart> heard = protocol::transcript_part(part);
  return heard ? json::value(native_part(*heard)) : json::value(nullptr);
}

json::value speech_last(const Answer& answer) {
  const Result<json::value> result = speech_answer(answer, {});
  if (!result) return nullptr;
  json::object whole = result->get_object();
  for (const char* told : {"text", "words", "segments"}) whole.erase(told);
  return whole;
}

Result<json::value> speech_answer(const Answer& answer, const json::object&) {
  VERGE_ASSIGN(result, protocol::transcript(answer.result));
  return json::value(native_transcript(result));
}

}  // namespace verge::api
