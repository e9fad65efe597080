// OpenAI's chat completions and, beside them, the older text completions.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"
#include "api/tasks/openai_text.h"
#include "api/tasks/text_answers.h"
#include "support/clock.h"
#include "support/limits.h"

namespace verge::api {
namespace {

using Parse = Result<TextRequest> (*)(const json::object& body, const catalogue::Entry& entry);

http::task<void> complete(Call& call, Parse parse, bool chat) {
  const size_t bytes = call.in.body.size();
  auto body = body_object(call);
  std::optional<std::string> model = body ? get_string(*body, "model") : std::nullopt;
  if (body && !model) body = fail(Code::InvalidInput, "required properties at '/' are 'model'");
  auto entry = body ? find_model(call, *model, "text-generation") : Result<const catalogue::Entry*>(body.error());
  auto text = entry ? parse(*body, **entry) : Result<TextRequest>(entry.error());
  auto options = text ? read_options(call, *body) : Result<RunOptions>(text.error());
  if (options && text->n > 1 && bytes > limits::kAnswersBytes / static_cast<size_t>(text->n))
    options = fail_at(Code::InvalidInput, "/n", "'/n' is too large for a prompt of this size: n times the {} bytes of the request must be <= {}", bytes,
                   limits::kAnswersBytes);
  if (!options) { return respond_error(call, options.error()); }
  note_ignored(call, std::move(text->ignored));
  OpenAiText::Settings settings;
  settings.chat = chat;
  settings.include_usage = text->include_usage;
  settings.answers_a_prompt = static_cast<size_t>(text->n);
  settings.id = (chat ? "chatcmpl-" : "cmpl-") + call.id;
  settings.model = *model;
  if (text->echo) settings.echoed = text->prompts;
  settings.created = unix_ms() / 1000;
  return generate(call, make_requests(call, **entry, *text, *options), std::make_unique<OpenAiText>(std::move(settings)), text->stream);
}

}  // namespace

http::task<void> openai_chat(Call& call) { return complete(call, parse_openai_chat, true); }
http::task<void> openai_completions(Call& call) { return complete(call, parse_openai_completion, false); }

}  // namespace verge::api
