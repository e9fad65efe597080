// OpenAI's /audio/transcriptions and /audio/translations: a form with a file, in one of five formats out; or, as it is heard, events:
// transcript.text.delta for each window of up to 30 s, and transcript.text.done with the whole text.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/generation.h"
#include "api/multipart.h"
#include "api/sse.h"
#include "api/tasks/automatic_speech_recognition.h"
#include "api/tasks/speech_answers.h"

namespace verge::api {
namespace {

constexpr std::string_view kFormats[] = {"json", "text", "srt", "verbose_json", "vtt"};

struct Settings {
  std::string format = "json";
  bool translated = false, words = false, segments = true, stream = false;
};

class OpenAiTranscript : public AnswerFormat {
 public:
  explicit OpenAiTranscript(Settings settings) : settings_(std::move(settings)) {}
  std::string_view text_type() const override {
    if (settings_.format == "text") return "text/plain; charset=utf-8";
    if (settings_.format == "srt") return "application/x-subrip; charset=utf-8";
    return settings_.format == "vtt" ? "text/vtt; charset=utf-8" : "";
  }
  json::value whole(const std::vector<Answer>& answers) override {
    static const json::object kNothing;
    const json::object* object = answers.front().result.if_object();
    const json::object& result = object ? *object : kNothing;
    const std::string text = get_string(result, "text").value_or("");
    if (settings_.format == "text") return json::string(text + "\n");
    if (settings_.format == "srt") return json::string(sub_rip(result));
    if (settings_.format == "vtt") return json::string(web_vtt(result));
    json::object out = settings_.format == "verbose_json" ? verbose_transcript(result, settings_.translated, settings_.words, settings_.segments)
                                                          : json::object{{"text", text}};
    out["usage"] = usage(result);
    return out;
  }
  std::string part(size_t, const json::value& part) override {
    const json::object* object = part.if_object();
    const std::string text = object ? get_string(*object, "text").value_or("") : "";
    return text.empty() ? "" : sse_event(json::object{{"type", "transcript.text.delta"}, {"delta", text}});
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }  // never: a transcript has parts, not tokens
  std::string closing(const std::vector<Answer>& answers) override {
    const json::object* result = answers.front().result.if_object();
    if (!result) return {};
    return sse_event(json::object{{"type", "transcript.text.done"}, {"text", get_string(*result, "text").value_or("")}, {"usage", usage(*result)}});
  }
  std::string failure(const Published& error, std::string_view request_id) override { return sse_event(error_body(error, Shape::OpenAi, request_id)); }

 private:
  static json::object usage(const json::object& result) {
    return {{"type", "duration"}, {"seconds", static_cast<int64_t>(std::ceil(get_number(result, "duration").value_or(0)))}};
  }
  Settings settings_;
};

struct Form {
  std::map<std::string, std::string, std::less<>> fields;
  std::vector<std::string> granularities;
  std::string_view file;
  bool has_file = false;
};

Result<Form> read_form(const Call& call) {
  const std::string_view type = call.in.header("content-type");
  if (!is_multipart(type)) return fail(Code::InvalidInput, "the body must be a form: multipart/form-data with 'file' and 'model'");
  VERGE_ASSIGN(parts, parse_multipart(type, call.in.body));
  Form form;
  for (const FormPart& part : parts) {
    if (part.name == "file") {
      if (form.has_file) return fail(Code::InvalidInput, "'/file' was sent twice");
      form.file = part.data;
      form.has_file = true;
    } else if (part.name == "timestamp_granularities[]" || part.name == "timestamp_granularities") {
      form.granularities.emplace_back(part.data);
    } else {
      form.fields[part.name] = std::string(part.data);
    }
  }
  if (!form.has_file) return fail(Code::InvalidInput, "required properties at '/' are 'file'");
  if (!form.fields.contains("model")) return fail(Code::InvalidInput, "required properties at '/' are 'model'");
  return form;
}

Result<Settings> read_settings(const Form& form, bool translated) {
  Settings settings;
  settings.translated = translated;
  const auto field = [&](std::string_view name) {
    const auto it = form.fields.find(name);
    return it == form.fields.end() ? std::string() : it->second;
  };
  if (const std::string format = field("response_format"); !format.empty()) settings.format = format;
  if (std::ranges::find(kFormats, settings.format) == std::end(kFormats)) {
    return fail(Code::InvalidInput, "'/response_format' must be one of 'json', 'text', 'srt', 'verbose_json', 'vtt'");
  }
  settings.stream = field("stream") == "true";
  if (settings.stream && settings.format != "json" && settings.format != "text") {
    return fail(Code::InvalidInput, "'/response_format' must be 'json' or 'text' where '/stream' is true");
  }
  if (!form.granularities.empty()) {
    settings.segments = false;
    for (const std::string& item : form.granularities) {
      if (item != "word" && item != "segment") return fail(Code::InvalidInput, "'/timestamp_granularities' must hold 'word', 'segment'");
      (item == "word" ? settings.words : settings.segments) = true;
    }
  }
  return settings;
}

Result<json::object> read_params(const Form& form, bool translated) {
  json::object body{{"task", translated ? "translate" : "transcribe"}};
  for (const auto& [name, value] : form.fields) {
    if (value.empty()) continue;
    if (name == "prompt") body["initial_prompt"] = value;
    else if (name == "language" && !translated) body["language"] = value;
    else if (name == "temperature") {
      double number = -1;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) return fail(Code::InvalidInput, "'/temperature' must be a number from 0 to 1");
      // 0 is the default, which means: higher ones where it does not do.
      if (number != 0) body["temperature"] = number;
    }
  }
  return speech_params(body);
}

http::task<void> transcribe(Call& call, bool translated) {
  auto form = read_form(call);
  auto entry = form ? find_model(call, form->fields["model"], "automatic-speech-recognition") : Result<const catalogue::Entry*>(form.error());
  auto settings = entry ? read_settings(*form, translated) : Result<Settings>(entry.error());
  auto params = settings ? read_params(*form, translated) : Result<json::object>(settings.error());
  if (params && form->file.empty()) params = fail(Code::InvalidInput, "'/file' is empty");
  if (!params) { return respond_error(call, params.error()); }
  std::vector<protocol::Request> requests;
  requests.push_back(make_request(call, **entry, {}));
  requests.front().params = std::move(*params);
  requests.front().payload = std::string(form->file);
  const bool stream = settings->stream;
  if (stream) requests.front().params["parts"] = true;
  return generate(call, std::move(requests), std::make_unique<OpenAiTranscript>(std::move(*settings)), stream);
}

}  // namespace

http::task<void> openai_transcriptions(Call& call) { return transcribe(call, false); }
http::task<void> openai_translations(Call& call) { return transcribe(call, true); }

}  // namespace verge::api
