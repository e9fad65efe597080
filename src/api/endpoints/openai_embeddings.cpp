// OpenAI's embeddings. Its SDKs ask for base64 unless told otherwise.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "api/tasks/text_embeddings.h"
#include "api/tasks/vectors.h"
#include "protocol/tasks/text_embeddings.h"
#include "support/base64.h"

namespace verge::api {
namespace {

class EmbeddingList : public AnswerFormat {
 public:
  EmbeddingList(std::string model, bool base64) : model_(std::move(model)), base64_(base64) {}

  json::value whole(const std::vector<Answer>& answers) override {
    const protocol::Embeddings vectors = protocol::embeddings(answers.front().result).value();  // unmet() has looked
    json::array data;
    for (size_t i = 0; i < vectors.count; ++i) {
      json::object item{{"object", "embedding"}, {"index", i}};
      const auto row = vectors.row(i);
      if (base64_) item["embedding"] = base64_encode({reinterpret_cast<const char*>(row.data()), row.size_bytes()});
      else item["embedding"] = to_json(row);
      data.push_back(std::move(item));
    }
    const int64_t tokens = answers.front().usage.prompt_tokens;
    return json::object{{"object", "list"}, {"data", std::move(data)}, {"model", model_}, {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
  }
  std::optional<Error> unmet(const std::vector<Answer>& answers) const override {
    const Result<protocol::Embeddings> vectors = protocol::embeddings(answers.front().result);
    return vectors ? std::nullopt : std::optional(vectors.error());
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }
  std::string closing(const std::vector<Answer>&) override { return {}; }
  std::string failure(const Published&, std::string_view) override { return {}; }

 private:
  std::string model_;
  bool base64_;
};

struct Embeddings {
  protocol::EmbeddingParameters params;
  std::vector<std::string> ignored;
  bool base64 = false;
};

Result<Embeddings> parse(const json::object& body, const catalogue::Entry& entry) {
  VERGE_ASSIGN(ignored, check_parameters(Surface::Embeddings, body));
  Params in(body);
  Embeddings out;
  out.ignored = std::move(ignored);
  const json::value* input = in.find("input");
  if (!input) return fail(Code::InvalidInput, "required properties at '/' are 'model,input'");
  const json::array* list = input->if_array();
  if (list && !list->empty() && (list->front().is_number() || list->front().is_array()))
    return not_built("/input", "texts, not ids of another model's tokens (LangChain: check_embedding_ctx_length=False)");
  VERGE_ASSIGN(texts, read_texts(*input, "input"));
  for (size_t i = 0; i < texts.size(); ++i)
    if (texts[i].empty()) return fail_at(Code::InvalidInput, fmt::format("/input/{}", i), "Length of '/input/{}' must be >= 1", i);
  out.params.texts = std::move(texts);
  const auto format = in.text("encoding_format");
  if (format && *format != "float" && *format != "base64") return fail_at(Code::InvalidInput, "/encoding_format", "'/encoding_format' must be one of float, base64");
  out.base64 = format == "base64";
  out.params.dimensions = in.integer("dimensions", 1, INT32_MAX);
  const auto truncate = in.flag("truncate_inputs");
  out.params.truncate = truncate ? truncate : get_bool(entry.defaults, "truncate_inputs");
  if (!in.ok()) return in.error();
  if (const auto pooling = get_string(entry.defaults, "pooling")) out.params.pooling = protocol::embedding_pooling(*pooling);
  return out;
}

}  // namespace

http::task<void> openai_embeddings(Call& call) {
  auto body = body_object(call);
  std::optional<std::string> model = body ? get_string(*body, "model") : std::nullopt;
  if (body && !model) body = fail(Code::InvalidInput, "required properties at '/' are 'model,input'");
  auto entry = body ? find_model(call, *model, "text-embeddings") : Result<const catalogue::Entry*>(body.error());
  auto parsed = entry ? parse(*body, **entry) : Result<Embeddings>(entry.error());
  auto options = parsed ? read_options(call, *body) : Result<RunOptions>(parsed.error());
  if (!options) { return respond_error(call, options.error()); }
  note_ignored(call, std::move(parsed->ignored));
  std::vector<protocol::Request> requests;
  requests.push_back(make_request(call, **entry, *options));
  requests.front().params = protocol::to_json(parsed->params);
  return generate(call, std::move(requests), std::make_unique<EmbeddingList>(*model, parsed->base64), false);
}

}  // namespace verge::api
