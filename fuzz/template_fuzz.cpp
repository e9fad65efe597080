// A template and a conversation from the fuzzer: whatever they are, compile() and render() return.
// The input is template source, optionally followed by a zero byte and a JSON object of variables.
#include <cstdint>
#include <string_view>

#include "engine/templates/chat_template.h"
#include "support/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string_view source = input.substr(0, input.find('\0'));
  auto compiled = verge::engine::ChatTemplate::compile(source);
  if (!compiled) return 0;
  verge::engine::ChatTemplateInputs in;
  in.messages = {{{"role", "user"}, {"content", "a\xc3\xa9 <b>"}}, {{"role", "assistant"}, {"content", {{{"type", "text"}, {"text", "x"}}}}}};
  in.tools = {{{"name", "f"}, {"parameters", {{"n", 1}, {"f", 2.5}, {"l", {1, 2, 3}}}}}};
  in.bos_token = "<s>";
  if (source.size() < input.size()) {
    if (auto extra = verge::parse_json(input.substr(source.size() + 1)); extra && extra->is_object()) in.extra = extra->get_object();
  }
  (void)(*compiled)->render(in);
  return 0;
}
