#include "api/endpoints/text.h"

#include <algorithm>

#include "api/tasks/text_answers.h"
#include "support/clock.h"
#include "support/random.h"

namespace verge::api {
std::vector<protocol::Request> make_requests(Call& call, const catalogue::Entry& entry, const TextRequest& text,
                                             const RunOptions& options) {
  protocol::Request request = make_request(call, entry, options);
  protocol::TextParameters params = text.params;
  uint64_t seed = text.seed ? *text.seed : request.seed;

  size_t prompts = std::max<size_t>(text.prompts.size(), 1);
  std::vector<protocol::Request> requests;
  for (size_t p = 0; p < prompts; ++p) {
    if (!text.prompts.empty()) params.prompt = text.prompts[p];
    request.params = protocol::to_json(params);
    for (int i = 0; i < text.n; ++i) {
      protocol::Request one = request;
      // The first of each prompt has the client's own seed, so that n = 1 and n = 8 agree on it.
      one.seed = i == 0 ? seed : random_at(seed, static_cast<uint64_t>(i));
      if (!requests.empty()) one.id += "-" + std::to_string(requests.size());
      requests.push_back(std::move(one));
    }
  }
  return requests;
}

http::task<void> run_text(Call& call, const catalogue::Entry& entry, json::value input, RunOptions options) {
  static const json::object kAnything;
  const json::object* schema = get_object(call.context.catalogue.schema(entry), "input");
  auto text = parse_native_text(std::move(input), entry, schema ? *schema : kAnything);
  if (!text) return respond_error(call, text.error());
  note_ignored(call, std::move(text->ignored));
  std::unique_ptr<AnswerFormat> format;
  if (entry.answer_shape == "native") {
    format = std::make_unique<NativeText>(call.shape, text->json, !text->params.tools.tools.empty());
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
