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
  if (!bytes) return fail(Code::InvalidInput, "'{}' is not base64", pointer);
  return std::move(*bytes);
}

Result<std::string> audio_of(const json::object& body) {
  const json::value* audio = body.if_contains("audio");
  if (!audio || audio->is_null()) return fail(Code::InvalidInput, "required properties at '/' are 'audio'");
  if (const auto* text = audio->if_string()) return decoded_audio(*text, "/audio");
  if (const auto* object = audio->if_object()) {
    if (auto text = get_string(*object, "body")) return decoded_audio(*text, "/audio/body");
    return fail(Code::InvalidInput, "required properties at '/audio' are 'body'");
  }
  if (audio->is_array()) return fail(Code::InvalidInput, "'/audio' is an empty array");
  return fail(Code::InvalidInput, "Type mismatch of '/audio', 'string,array' not in '{}'", type_name(*audio));
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
      if (body->contains(part.name)) return fail(Code::InvalidInput, "'/{}' was sent twice", part.name);
      VERGE_ASSIGN(text, text_of(part));
      (*body)[part.name] = json::string(text);
    }
  }
  if (!found) return fail(Code::InvalidInput, "required properties at '/' are 'audio'");
  return {};
}

}  // namespace

Result<json::object> speech_params(const json::object& body, ValuesAre values) {
  Params in(body, values);
  json::object params;
  const auto put = [&params](const char* name, const auto& value) {
    if (value) params[name] = *value;
  };
  auto task = in.text("task");
  if (task && *task != "transcribe" && *task != "translate") in.refuse(fail(Code::InvalidInput, "'/task' must be one of 'transcribe', 'translate'"));
  put("task", task);
  if (auto language = in.text("language"); language && !means_detection(*language)) {
    const auto code = language_code(*language);
    if (!code) in.refuse(fail(Code::InvalidInput, "'/language' must be a language's code or English name, as 'en', 'en-US' or 'english', not '{:.32}'", *language));
    else params["language"] = *code;
  }
  put("vad_filter", in.flag("vad_filter"));
  put("initial_prompt", in.text("initial_prompt"));
  put("prefix", in.text("prefix"));
  put("beam_size", in.integer("beam_size", 1, kBeamsMost));
  put("condition_on_previous_text", in.flag("condition_on_previous_text"));
  put("no_speech_threshold", in.number("no_speech_threshold", 0, 1));
  put("compression_ratio_threshold", in.number("compression_ratio_threshold", 0, 1000));
  put("log_prob_threshold", in.number("log_prob_threshold", -1000, 0));
  put("hallucination_silence_threshold", in.number("hallucination_silence_threshold", 0, 3600));
  put("encoder_padding", in.number("encoder_padding", 0, 30));  // ours
  put("temperature", in.number("temperature", 0, 1));
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
  out.params = std::move(params);
  Params in(body, values);
  out.stream = in.flag("stream").value_or(false);
  if (!in.ok()) return in.error();
  if (out.stream) out.params["parts"] = true;
  return out;
}

json::value speech_part(const json::value& value) {
  static const json::object kNothing;
  const json::object* part = value.if_object();
  return native_part(part ? *part : kNothing);
}

json::value speech_last(const Answer& answer) {
  json::object whole = speech_answer(answer, {}).get_object();
  for (const char* told : {"text", "words", "segments"}) whole.erase(told);
  return whole;
}

json::value speech_answer(const Answer& answer, const json::object&) {
  const json::object* result = answer.result.if_object();
  return native_transcript(result ? *result : json::object());
}

}  // namespace verge::api
