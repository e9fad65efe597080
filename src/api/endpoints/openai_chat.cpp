// OpenAI's chat completions and, beside them, the older text completions.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"
#include "api/tasks/openai_text.h"
#include "api/tasks/text_answers.h"
#include "support/clock.h"

namespace verge::api {
namespace {

using Parse = Result<TextRequest> (*)(const json::object& body, const catalogue::Entry& entry);

http::task<void> complete(Call& call, Parse parse, bool chat) {
  auto body = body_object(call);
  std::optional<std::string> model = body ? get_string(*body, "model") : std::nullopt;
  if (body && !model) body = fail(Code::InvalidInput, "required properties at '/' are 'model'");
  auto entry = body ? find_model(call, *model, "text-generation") : Result<const catalogue::Entry*>(body.error());
  auto text = entry ? parse(*body, **entry) : Result<TextRequest>(entry.error());
  auto options = text ? read_options(get_object(*body, "options")) : Result<RunOptions>(text.error());
  if (!options) { return respond_error(call, options.error()); }
  OpenAiText::Settings settings;
  settings.chat = chat;
  settings.include_usage = text->include_usage;
  settings.answers_a_prompt = static_cast<size_t>(text->n);
  settings.id = (chat ? "chatcmpl-" : "cmpl-") + call.id;
  settings.model = *model;
  settings.created = unix_ms() / 1000;
  return generate(call, make_requests(call, **entry, *text, *options), std::make_unique<OpenAiText>(std::move(settings)), text->stream);
}

}  // namespace

http::task<void> openai_chat(Call& call) { return complete(call, parse_openai_chat, true); }
http::task<void> openai_completions(Call& call) { return complete(call, parse_openai_completion, false); }

http::task<void> openai_not_built(Call& call) {
  std::string_view path = call.in.path;
  std::string_view name = path.substr(path.rfind('/') + 1);
  return respond_error(call, not_built(fmt::format("/{}", name)));
}

}  // namespace verge::api
