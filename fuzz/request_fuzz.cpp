// Request JSON -> parameters of the worker, over all three text routes. What must hold for any bytes:
// no crash, an error that a client may see, or parameters within what the worker trusts.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/errors.h"
#include "api/tasks/openai_text.h"
#include "api/tasks/text_generation.h"
#include "catalogue/catalogue.h"

namespace {

using namespace verge;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_params(const api::TextRequest& text) {
  const json::object& params = text.params;
  require(params.contains("messages") + params.contains("prompt") + !text.prompts.empty() == 1);
  require(params.at("raw").is_bool());
  require(text.n >= 1 && text.n <= limits::kAnswers);
  require(params.at("temperature").to_number<double>() >= 0 && params.at("temperature").to_number<double>() <= 5);
  if (auto most = get_int(params, "max_tokens")) require(*most >= 0);
  if (auto top_p = get_number(params, "top_p")) require(*top_p >= 0 && *top_p <= 1);
  if (auto top_k = get_int(params, "top_k")) require(*top_k >= 1);
  if (const json::array* stop = get_array(params, "stop"))
    for (const json::value& one : *stop)
      require(one.is_string() && !one.get_string().empty() && one.get_string().size() <= limits::kStopStringBytes);
  if (const json::array* messages = get_array(params, "messages"))
    for (const json::value& message : *messages) require(message.at("role").is_string() && message.at("content").is_string());
}

void check(const Result<api::TextRequest>& text) {
  if (text) return check_params(*text);
  require(text.error().code == Code::InvalidInput || text.error().code == Code::UnsupportedParameter);
  for (api::Shape shape : {api::Shape::Rest, api::Shape::Binding, api::Shape::OpenAi}) {
    api::Published published = api::publish(text.error(), "id");
    require(published.status >= 400 && published.status < 500);
    std::string body = json::serialize(api::error_body(published, shape, "id"));
    require(body.size() < 64 << 10);
    require(parse_json(body).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const catalogue::Catalogue kCatalogue = std::move(*catalogue::Catalogue::load({}));
  if (size < 1) return 0;
  auto value = parse_json(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  if (!value) return 0;
  const char* ids[] = {"@cf/meta/llama-3.2-1b-instruct", "@cf/google/gemma-4-26b-a4b-it", "@cf/meta/llama-4-scout-17b-16e-instruct",
                       "@cf/meta/llama-3.3-70b-instruct-fp8-fast"};
  const catalogue::Entry& entry = *kCatalogue.find(ids[data[0] % 4]);
  if (value->is_object() && data[0] & 0x10) check(api::parse_openai_chat(value->get_object(), entry));
  if (value->is_object() && data[0] & 0x20) check(api::parse_openai_completion(value->get_object(), entry));
  check(api::parse_native_text(std::move(*value), entry, kCatalogue.schema(entry).at("input").get_object()));
  return 0;
}
