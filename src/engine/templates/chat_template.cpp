#include "engine/templates/chat_template.h"

#include <array>
#include <bitset>
#include <optional>

#include "engine/templates/jinja_eval.h"
#include "engine/templates/jinja_parser.h"

namespace verge::engine {
namespace {

class JinjaChatTemplate final : public ChatTemplate {
 public:
  explicit JinjaChatTemplate(jinja::Template t) : template_(std::move(t)) { find_forms(); }

  ContentForms content_of(std::string_view role) const override {
    for (size_t i = 0; i < kRoles.size(); ++i) {
      if (kRoles[i] == role) return forms_[i];
    }
    return forms_[kUser];
  }

  Result<ForeignText> render(const ChatTemplateInputs& inputs) const override {
    const json::object own{{"bos_token", inputs.bos_token}, {"eos_token", inputs.eos_token}};
    json::object client;
    client["messages"] = inputs.messages;
    if (!inputs.tools.empty()) client["tools"] = inputs.tools;
    client["add_generation_prompt"] = inputs.add_generation_prompt;
    for (const auto& [name, value] : inputs.extra) client[name] = value;
    return jinja::render(template_, own, client, inputs.now_unix_s);
  }

 private:
  static constexpr std::array<std::string_view, 3> kRoles = {"user", "assistant", "system"};
  static constexpr size_t kUser = 0, kSystem = 2;
  using Parts = std::bitset<3>;  // by role: whether its content is a list of parts

  // Whether everybody's text is in the prompt of a conversation, and no list was printed as one.
  std::optional<bool> prints(Parts parts, bool system) const {
    const auto text = [](size_t role) { return fmt::format("what {} says", kRoles[role]); };
    ChatTemplateInputs inputs;
    for (size_t role : {kSystem, kUser, size_t{1}, kUser}) {
      if (role == kSystem && !system) continue;
      json::object message{{"role", kRoles[role]}, {"content", text(role)}};
      if (parts[role])
        message["content"] = json::array{json::object{{"type", "text"}, {"text", text(role)}}};
      inputs.messages.push_back(std::move(message));
    }
    const auto prompt = render(inputs);
    if (!prompt) return std::nullopt;
    const std::string& shown = prompt->text;
    for (size_t role = 0; role < kRoles.size(); ++role) {
      if ((system || role != kSystem) && shown.find(text(role)) == std::string::npos) return false;
    }
    return shown.find("'text'") == std::string::npos && shown.find("\"text\"") == std::string::npos;
  }

  // Strings, where the template prints those; parts for as few roles as it takes; then, of each
  // role, whether the other form does as well. Templates that refuse a system message are asked
  // without one.
  void find_forms() {
    for (bool system : {true, false}) {
      for (unsigned long mask : {0ul, 1ul, 7ul, 3ul, 5ul, 2ul, 4ul, 6ul}) {
        const Parts parts(mask);
        if (!prints(parts, system).value_or(false)) continue;
        for (size_t role = 0; role < kRoles.size(); ++role) {
          const bool other = prints(Parts(parts).flip(role), system).value_or(false);
          forms_[role] = {.strings = !parts[role] || other, .parts = parts[role] || other};
        }
        if (!system) forms_[kSystem] = forms_[kUser];
        return;
      }
    }
  }

  jinja::Template template_;
  std::array<ContentForms, 3> forms_{};
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string_view source) {
  VERGE_ASSIGN(parsed, jinja::parse(source));
  return std::unique_ptr<ChatTemplate>(std::make_unique<JinjaChatTemplate>(std::move(parsed)));
}

}  // namespace verge::engine
