#include "engine/tokenizers/chat_template.h"

#include "engine/tokenizers/jinja_eval.h"
#include "engine/tokenizers/jinja_parser.h"

namespace verge::engine {
namespace {

class JinjaChatTemplate final : public ChatTemplate {
 public:
  explicit JinjaChatTemplate(jinja::Template t) : template_(std::move(t)) {}

  Result<std::string> render(const ChatTemplateInputs& inputs) const override {
    json::object variables;
    variables["messages"] = inputs.messages;
    if (!inputs.tools.empty()) variables["tools"] = inputs.tools;
    variables["add_generation_prompt"] = inputs.add_generation_prompt;
    variables["bos_token"] = inputs.bos_token;
    variables["eos_token"] = inputs.eos_token;
    for (const auto& [name, value] : inputs.extra) variables[name] = value;
    return jinja::render(template_, variables, inputs.now_unix_s);
  }

 private:
  jinja::Template template_;
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string_view source) {
  VERGE_ASSIGN(parsed, jinja::parse(source));
  return std::unique_ptr<ChatTemplate>(std::make_unique<JinjaChatTemplate>(std::move(parsed)));
}

}  // namespace verge::engine
