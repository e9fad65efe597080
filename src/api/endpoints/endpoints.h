// All endpoints; each is one row of routes.cpp.
#pragma once

#include "api/call.h"

namespace verge::api {

// rest.cpp: POST /client/v4/accounts/{account}/ai/run/{model...}
http::task<void> run_rest(Call& call);
http::task<void> run_rest_universal(Call& call);  // …/ai/run with {"model","input"}
// binding.cpp: what workerd's `env.AI` sends
http::task<void> run_binding(Call& call);
http::task<void> run_websocket(Call& call);
// markdown.cpp
http::task<void> markdown(Call& call);       // the binding's
http::task<void> markdown_form(Call& call);  // POST …/ai/tomarkdown
http::task<void> markdown_supported(Call& call);
// models.cpp
std::string_view author_of(std::string_view id);  // "@cf/meta/x" -> "meta"
http::task<void> search_models(Call& call);
http::task<void> model_schema(Call& call);
http::task<void> search_tasks(Call& call);
http::task<void> search_authors(Call& call);
// openai_*.cpp
http::task<void> openai_chat(Call& call);
http::task<void> openai_completions(Call& call);
http::task<void> openai_embeddings(Call& call);
http::task<void> openai_models(Call& call);
http::task<void> openai_model(Call& call);
http::task<void> openai_transcriptions(Call& call);
http::task<void> openai_translations(Call& call);
http::task<void> openai_speech(Call& call);
// messages.cpp
http::task<void> create_message(Call& call);
http::task<void> count_message_tokens(Call& call);
http::task<void> count_response_tokens(Call& call);
http::task<void> compact_response(Call& call);
// responses.cpp
http::task<void> create_response(Call& call);
http::task<void> get_response(Call& call);
http::task<void> delete_response(Call& call);
http::task<void> response_input_items(Call& call);
http::task<void> cancel_response(Call& call);
// health.cpp
http::task<void> healthz(Call& call);
http::task<void> readyz(Call& call);
http::task<void> metrics_text(Call& call);
http::task<void> status(Call& call);
http::task<void> nodes(Call& call);
http::task<void> placement(Call& call);
http::task<void> place(Call& call);
// page.cpp
http::task<void> page(Call& call);
http::task<void> page_file(Call& call);
http::task<void> documentation(Call& call);
http::task<void> openapi(Call& call);
// usage.cpp
http::task<void> account_usage(Call& call);
http::task<void> all_usage(Call& call);

}  // namespace verge::api
