// Chat templates: the part of Jinja that model templates use, in an interpreter of our own. No
// attribute of the host, no I/O; steps, depth and output are limited (support/limits.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/tokenizers/foreign_text.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

struct ChatTemplateInputs {
  json::array messages;             // [{role, content, …}] as the client sent them
  json::array tools;                // empty = undefined in the template
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
  json::object extra;               // chat_template_kwargs; further variables
  int64_t now_unix_s = 0;           // for strftime_now; an argument so that rendering is pure
};

// The forms of a message's content that a template prints: a string, or a list of {"type": "text",
// "text": …}.
struct ContentForms {
  bool strings = true, parts = false;
};

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  // Of messages of this role, as conversations that were rendered by compile() showed; a role that
  // they did not have is taken as the user's.
  virtual ContentForms content_of(std::string_view role) const = 0;
  // Renders as Jinja2 with trim_blocks, lstrip_blocks and transformers' globals does.
  // raise_exception and type errors are InvalidInput with the template's own message; an unknown
  // construct was already refused by compile(). The text knows which of its bytes the client wrote
  // (messages, tools, extra).
  virtual Result<ForeignText> render(const ChatTemplateInputs& inputs) const = 0;

  static Result<std::unique_ptr<ChatTemplate>> compile(std::string_view source);
};

}  // namespace verge::engine
