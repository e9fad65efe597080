#include "api/endpoints/text.h"

#include <algorithm>

#include "api/tasks/text_answers.h"
#include "support/clock.h"
#include "support/random.h"

namespace verge::api {
namespace {

// W3C trace context, version 00: 55 characters of hexadecimal digits and dashes.
bool is_traceparent(std::string_view text) {
  return text.size() == 55 && text.find_first_not_of("0123456789abcdef-") == text.npos && text[2] == '-' && text[35] == '-' &&
         text[52] == '-';
}

bool plain_affinity(std::string_view text) {
  return text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Result<const catalogue::Entry*> find_model(Call& call, std::string_view id) {
  const catalogue::Entry* entry = catalogue::valid_id(id) ? call.context.catalogue.find(id) : nullptr;
  if (!entry || entry->task != "text-generation") return no_such_model(id);
  call.model = entry->id;
  return entry;
}

Result<RunOptions> read_options(const json::object* options) {
  RunOptions out;
  if (!options) return out;
  Params in(*options);
  out.reject_if_busy = in.flag("rejectIfBusy").value_or(false);
  bool queued = in.flag("queueRequest").value_or(false);
  if (!in.ok()) return in.error();
  if (queued) return not_built("/options/queueRequest", "asynchronous batches; send the requests one by one");
  return out;
}

std::vector<protocol::Request> make_requests(Call& call, const catalogue::Entry& entry, const TextRequest& text,
                                             const RunOptions& options) {
  protocol::Request request;
  request.id = call.id;
  request.model = entry.id;
  request.task = entry.task;
  request.params = text.params;
  request.tenant = call.tenant;
  request.reject_if_busy = options.reject_if_busy;
  if (auto affinity = call.in.header("x-session-affinity"); plain_affinity(affinity)) request.affinity = affinity;
  if (auto trace = call.in.header("traceparent"); is_traceparent(trace)) request.traceparent = trace;
  uint64_t seed = text.seed ? *text.seed : random_u64();

  size_t prompts = std::max<size_t>(text.prompts.size(), 1);
  std::vector<protocol::Request> requests;
  for (size_t p = 0; p < prompts; ++p) {
    for (int i = 0; i < text.n; ++i) {
      protocol::Request one = request;
      if (!text.prompts.empty()) one.params["prompt"] = text.prompts[p];
      // The first of each prompt has the client's own seed, so that n = 1 and n = 8 agree on it.
      one.seed = i == 0 ? seed : random_at(seed, static_cast<uint64_t>(i));
      if (!requests.empty()) one.id += "-" + std::to_string(requests.size());
      requests.push_back(std::move(one));
    }
  }
  return requests;
}

http::task<void> run_native(Call& call, const catalogue::Entry& entry, json::value input, RunOptions options) {
  static const json::object kAnything;
  const json::object* schema = get_object(call.context.catalogue.schema(entry), "input");
  auto text = parse_native_text(std::move(input), entry, schema ? *schema : kAnything);
  if (!text) return respond_error(call, text.error());
  std::unique_ptr<AnswerFormat> format;
  if (entry.answer_shape == "native") {
    format = std::make_unique<NativeText>(call.shape);
  } else {
    OpenAiText::Settings settings;
    settings.shape = call.shape;
    settings.native_route = true;
    settings.chat = text->chat;
    settings.answers_a_prompt = static_cast<size_t>(text->n);
    settings.id = (text->chat ? "chatcmpl-" : "cmpl-") + call.id;
    settings.model = entry.id;
    settings.created = unix_ms() / 1000;
    format = std::make_unique<OpenAiText>(std::move(settings));
  }
  return generate(call, make_requests(call, entry, *text, options), std::move(format), text->stream);
}

}  // namespace verge::api
