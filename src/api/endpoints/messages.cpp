// Anthropic's Messages API, over the chat route's call.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"
#include "api/messages/answer.h"
#include "api/messages/request.h"
#include "api/responses/items.h"
#include "api/tasks/token_count.h"

namespace verge::api {
namespace {

http::task<void> answer_message(Call& call, bool counting) {
  auto body = body_object(call);
  const std::optional<std::string> model = body ? get_string(*body, "model") : std::nullopt;
  if (body && !model) body = fail(Code::InvalidInput, "required properties at '/' are 'model'");
  auto entry = body ? find_model(call, *model, "text-generation")
                    : Result<const catalogue::Entry*>(body.error());
  auto options = entry ? read_options(call, *body) : Result<RunOptions>(entry.error());
  auto text = options ? messages::read_request(*body, **entry, counting)
                      : Result<TextRequest>(options.error());
  if (!text) return respond_error(call, text.error());
  note_ignored(call, std::move(text->ignored));
  text->params.count_tokens = counting;
  std::vector<protocol::Request> requests = make_requests(call, **entry, *text, *options);
  std::unique_ptr<AnswerFormat> format;
  if (counting) {
    format = std::make_unique<TokenCount>();
  } else {
    format = std::make_unique<messages::MessageAnswer>(
        responses::item_id("msg", call.id, 0), *model, std::string(messages::effort_name(*body)));
  }
  return generate(call, std::move(requests), std::move(format), text->stream);
}

}  // namespace

http::task<void> create_message(Call& call) { return answer_message(call, false); }
http::task<void> count_message_tokens(Call& call) { return answer_message(call, true); }

}  // namespace verge::api
