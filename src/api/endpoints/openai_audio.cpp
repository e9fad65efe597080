// OpenAI's /audio/transcriptions and /audio/translations: a form with a file, in one of five formats out; or, as it is heard, events:
// transcript.text.delta for each window of up to 30 s, and transcript.text.done with the whole text.
#include <algorithm>
#include <cmath>

#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/generation.h"
#include "api/multipart.h"
#include "api/sse.h"
#include "api/tasks/automatic_speech_recognition.h"
#include "api/tasks/parameters.h"
#include "api/tasks/speech_answers.h"
#include "support/release.h"

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
    const protocol::Transcript result = protocol::transcript(answers.front().result).value();  // unmet() has looked
    const std::string& text = result.text;
    if (settings_.format == "text") return json::string(text + "\n");
    if (settings_.format == "srt") return json::string(sub_rip(result));
    if (settings_.format == "vtt") return json::string(web_vtt(result));
    json::object out = settings_.format == "verbose_json" ? verbose_transcript(result, settings_.translated, settings_.words, settings_.segments)
                                                          : json::object{{"text", text}};
    out["usage"] = usage(result);
    return out;
  }
  std::string part(size_t, const protocol::Part& part) override {
    const Result<protocol::TranscriptPart> heard = protocol::transcript_part(part);
    return !heard || heard->text.empty() ? "" : sse_event(json::object{{"type", "transcript.text.delta"}, {"delta", heard->text}});
  }
  std::optional<Error> unmet(const std::vector<Answer>& answers) const override {
    const Result<protocol::Transcript> result = protocol::transcript(answers.front().result);
    return result ? std::nullopt : std::optional(result.error());
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }  // never: a transcript has parts, not tokens
  std::string closing(const std::vector<Answer>& answers) override {
    const protocol::Transcript result = protocol::transcript(answers.front().result).value();
    return sse_event(json::object{{"type", "transcript.text.done"}, {"text", result.text}, {"usage", usage(result)}});
  }
  std::string failure(const Published& error, std::string_view request_id) override { return sse_event(error_body(error, Shape::OpenAi, request_id)); }

 private:
  static json::object usage(const protocol::Transcript& result) {
    return {{"type", "duration"}, {"seconds", static_cast<int64_t>(std::ceil(result.duration))}};
  }
  Settings settings_;
};

struct Form {
  json::object fields;  // texts, but for `timestamp_granularities` and other lists
  std::string file;
  bool has_file = false;
};

constexpr std::string_view kLists[] = {"timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"};

// The field's name without the index of a list: "a[]", "a[0]", "a".
std::string_view list_name(std::string_view name) {
  const size_t open = name.find('[');
  if (open == name.npos || !name.ends_with(']')) return name;
  const std::string_view index = name.substr(open + 1, name.size() - open - 2);
  return index.find_first_not_of("0123456789") == index.npos ? name.substr(0, open) : name;
}

// One field may hold several: "word,segment", or the list in JSON.
void add_items(json::array& list, std::string_view text) {
  if (text.starts_with('[')) {
    auto value = parse_json(text);
    if (const json::array* items = value ? value->if_array() : nullptr) {
      for (const json::value& item : *items) list.push_back(item);
      return;
    }
  }
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (end > 0) list.push_back(json::value(json::string(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

Result<Form> read_form(const Call& call) {
  const std::string_view type = call.in.header("content-type");
  if (!is_multipart(type)) return fail(Code::InvalidInput, "the body must be a form: multipart/form-data with 'file' and 'model'");
  VERGE_ASSIGN(parts, parse_multipart(type, call.in.body));
  release(call.in.body);
  Form form;
  for (FormPart& part : parts) {
    if (part.name == "file") {
      if (form.has_file) return fail_at(Code::InvalidInput, "/file", "'/file' was sent twice");
      form.file = std::move(part.data);
      form.has_file = true;
      continue;
    }
    VERGE_ASSIGN(text, text_of(part));
    const std::string_view list = list_name(part.name);
    if (std::ranges::find(kLists, list) != std::end(kLists)) {
      json::value& items = form.fields[list];
      if (!items.is_array()) items = json::array();
      add_items(items.get_array(), text);
      continue;
    }
    if (form.fields.contains(part.name)) return fail_at(Code::InvalidInput, fmt::format("/{}", part.name), "'/{}' was sent twice", part.name);
    form.fields[part.name] = json::string(text);
  }
  if (!form.has_file) return fail(Code::InvalidInput, "required properties at '/' are 'file'");
  if (!form.fields.contains("model")) return fail(Code::InvalidInput, "required properties at '/' are 'model'");
  return form;
}

Result<void> read_granularities(const json::array& list, Settings& settings) {
  settings.segments = false;
  for (const json::value& item : list) {
    const std::string_view text = item.is_string() ? std::string_view(item.get_string()) : "";
    if (text != "word" && text != "segment") return fail_at(Code::InvalidInput, "/timestamp_granularities", "'/timestamp_granularities' must hold 'word', 'segment'");
    (text == "word" ? settings.words : settings.segments) = true;
  }
  if (settings.format == "verbose_json") return {};
  const bool subtitles = settings.format == "srt" || settings.format == "vtt";
  if (subtitles && !settings.words) return {};  // they are segments with their times
  return fail_at(Code::InvalidInput, "/timestamp_granularities", "'/timestamp_granularities' needs '/response_format' to be 'verbose_json'");
}

Result<Settings> read_settings(const Form& form, bool translated) {
  Settings settings;
  settings.translated = translated;
  Params in(form.fields, ValuesAre::Text);
  settings.format = in.text("response_format").value_or(settings.format);
  settings.stream = in.flag("stream").value_or(false);
  if (!in.ok()) return in.error();
  if (std::ranges::find(kFormats, settings.format) == std::end(kFormats)) {
    return fail_at(Code::InvalidInput, "/response_format", "'/response_format' must be one of 'json', 'text', 'srt', 'verbose_json', 'vtt'");
  }
  if (settings.stream && settings.format != "json" && settings.format != "text") {
    return fail_at(Code::InvalidInput, "/response_format", "'/response_format' must be 'json' or 'text' where '/stream' is true");
  }
  const json::array* list = get_array(form.fields, "timestamp_granularities");
  if (list && !list->empty()) VERGE_TRY(read_granularities(*list, settings));
  return settings;
}

// Beside OpenAI's fields those of the native route.
Result<protocol::SpeechParameters> read_params(const Form& form, bool translated) {
  json::object body = form.fields;
  Params in(form.fields, ValuesAre::Text);
  if (auto prompt = in.text("prompt")) {
    if (in.find("initial_prompt")) return fail_at(Code::InvalidInput, "/prompt", "'/prompt' and '/initial_prompt' are one thing: send one of them");
    body["initial_prompt"] = *prompt;
  }
  body["task"] = translated ? "translate" : "transcribe";
  // 0 is the default, which means: higher ones where it does not do.
  if (in.number("temperature", 0, 1) == 0.0) body.erase("temperature");
  return speech_params(body, ValuesAre::Text);
}

struct Transcription {
  const catalogue::Entry* entry = nullptr;
  Settings settings;
  protocol::SpeechParameters params;
  std::string payload;
};

Result<Transcription> read_transcription(Call& call, bool translated) {
  VERGE_ASSIGN(form, read_form(call));
  VERGE_ASSIGN(entry, find_model(call, get_string(form.fields, "model").value_or(""), "automatic-speech-recognition"));
  VERGE_ASSIGN(ignored, check_parameters(Surface::Transcriptions, form.fields));
  note_ignored(call, std::move(ignored));
  VERGE_ASSIGN(settings, read_settings(form, translated));
  VERGE_ASSIGN(params, read_params(form, translated));
  if (form.file.empty()) return fail_at(Code::InvalidInput, "/file", "'/file' is empty");
  params.parts = settings.stream;
  return Transcription{entry, std::move(settings), std::move(params), std::move(form.file)};
}

http::task<void> transcribe(Call& call, bool translated) {
  auto read = read_transcription(call, translated);
  if (!read) { return respond_error(call, read.error()); }
  std::vector<protocol::Request> requests;
  requests.push_back(make_request(call, *read->entry, {}));
  requests.front().params = protocol::to_json(read->params);
  requests.front().payload = std::move(read->payload);
  const bool stream = read->settings.stream;
  return generate(call, std::move(requests), std::make_unique<OpenAiTranscript>(std::move(read->settings)), stream);
}

}  // namespace

http::task<void> openai_transcriptions(Call& call) { return transcribe(call, false); }
http::task<void> openai_translations(Call& call) { return transcribe(call, true); }

}  // namespace verge::api
