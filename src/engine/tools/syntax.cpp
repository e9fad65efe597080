#include "engine/tools/syntax.h"

#include <cctype>

#include "engine/tools/gemma_calls.h"
#include "engine/tools/json_calls.h"
#include "engine/tools/named_calls.h"
#include "engine/tools/pythonic_calls.h"
#include "engine/tools/tagged_calls.h"

namespace verge::engine::tools {
namespace {

// ---- Families whose calls are JSON objects

const JsonCalls& generic() {
  static const JsonCalls s(
      {"generic", "<tool_call>", "</tool_call>", false, "arguments", "\n", true});
  return s;
}
const JsonCalls& hermes() {  // Hermes, Qwen 2.5 and 3, QwQ, Granite 4, SmolLM3, MiMo; Qwen2.5-Coder
                             // writes fenced JSON, too
  static const JsonCalls s(
      {"hermes", "<tool_call>", "</tool_call>", false, "arguments", "\n", true});
  return s;
}
const JsonCalls& smollm() {
  static const JsonCalls s({"smollm", "<tool_call>", "</tool_call>", true});
  return s;
}
const JsonCalls& granite() {
  static const JsonCalls s({"granite", "<|tool_call|>", "", true});
  return s;
}
const JsonCalls& phi() {
  static const JsonCalls s({"phi", "<|tool_call|>", "<|/tool_call|>", true});
  return s;
}
const JsonCalls& cohere() {  // Command R7B and A
  static const JsonCalls s({"cohere", "<|START_ACTION|>", "<|END_ACTION|>", true, "parameters", "",
                            false, "", "tool_name", "tool_call_id"});
  return s;
}
const JsonCalls& mistral_list() {  // Nemo, Small 3.0
  static const JsonCalls s({"mistral-list", "[TOOL_CALLS]", "", true});
  return s;
}
const JsonCalls& llama() {  // 3.1 to 3.3
  static const JsonCalls s({"llama", "", "", false, "parameters", "", false, "<|python_tag|>"});
  return s;
}

// ---- Families whose calls are a name between marks, and JSON

const NamedCalls& mistral() {  // Small 3.2, Magistral, Devstral, Ministral 3
  static const NamedCalls s(
      {"mistral", "", "[TOOL_CALLS]", "", "[ARGS]", "", "", "[ARGS]", "[CALL_ID]", {"[CALL_ID]"}});
  return s;
}
const NamedCalls& deepseek() {  // R1, V3
  static const NamedCalls s({"deepseek",
                             "<｜tool▁calls▁begin｜>",
                             "<｜tool▁call▁begin｜>",
                             "function<｜tool▁sep｜>",
                             "\n```json\n",
                             "\n```<｜tool▁call▁end｜>",
                             "<｜tool▁calls▁end｜>",
                             "```json\n",
                             "\n",
                             {"<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}});
  return s;
}
const NamedCalls& deepseek_31() {
  static const NamedCalls s({"deepseek-3.1", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "",
                             "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>",
                             "<｜tool▁sep｜>", ""});
  return s;
}
const NamedCalls& kimi() {
  static const NamedCalls s({"kimi", "<|tool_calls_section_begin|>", "<|tool_call_begin|>",
                             "functions.", ":{n}<|tool_call_argument_begin|>", "<|tool_call_end|>",
                             "<|tool_calls_section_end|>", "<|tool_call_argument_begin|>", ":"});
  return s;
}
const NamedCalls& harmony() {  // gpt-oss; channels are thoughts.h's
  static const NamedCalls s({"harmony",
                             "",
                             "<|channel|>commentary to=",
                             "functions.",
                             " <|constrain|>json<|message|>",
                             "",
                             "",
                             "<|message|>",
                             " ",
                             {"<|start|>", "<|channel|>", "<|constrain|>", "<|end|>"},
                             "",
                             false});
  return s;
}

// Whether the variable `tools` is read: a template that writes calls of a history only does not tell the model what it may
// call.
bool shows_tools(std::string_view t) {
  if (t.find("available_tools") != t.npos) return true;  // Granite's, which is given both
  constexpr std::string_view kName = "tools";
  const auto in_name = [&](size_t at) { return at < t.size() && (std::isalnum(static_cast<unsigned char>(t[at])) || t[at] == '_'); };
  for (size_t at = t.find(kName); at != t.npos; at = t.find(kName, at + 1))
    if (!(at > 0 && in_name(at - 1)) && !in_name(at + kName.size())) return true;
  return false;
}

}  // namespace

const Syntax& generic_syntax() { return generic(); }

std::vector<const Syntax*> all_syntaxes() {
  return {&generic(),     &hermes(),   &smollm(),         &granite(),     &phi(),
          &cohere(),      &llama(),    &mistral_list(),   &mistral(),     &deepseek(),
          &deepseek_31(), &kimi(),     &harmony(),        &pythonic(),    &qwen_xml(),
          &glm(),         &minimax(),  &deepseek_32(),    &deepseek_4(),  &function_gemma(),
          &gemma4()};
}

const Syntax* find_syntax(std::string_view t) {
  const auto has = [t](std::string_view text) { return t.find(text) != std::string_view::npos; };
  if (!shows_tools(t)) return nullptr;
  if (has("<|channel|>") && has("<|constrain|>")) return &harmony();
  if (has("｜DSML｜")) return has("function_calls>") ? &deepseek_32() : &deepseek_4();
  if (has("minimax:tool_call")) return &minimax();
  if (has("<|START_ACTION|>") && has("tool_name")) return &cohere();
  if (has("<start_function_call>")) return &function_gemma();
  if (has("<|tool_call>call:")) return &gemma4();
  if (has("<|tool_calls_section_begin|>")) return &kimi();
  if (has("<｜tool▁calls▁begin｜>") || has("<｜tool▁call▁begin｜>"))
    return has("```json") ? static_cast<const Syntax*>(&deepseek()) : &deepseek_31();
  if (has("[TOOL_CALLS]"))
    return has("[ARGS]") ? static_cast<const Syntax*>(&mistral()) : &mistral_list();
  if (has("<arg_key>")) return &glm();
  if (has("<function=")) return &qwen_xml();
  if (has("<|/tool_call|>")) return &phi();
  if (has("<|tool_call|>")) return &granite();
  if (has("<tool_call>[")) return &smollm();
  if (has("<tool_call>")) return &hermes();
  if (has("<|start_header_id|>") && has("func_name1(")) return &pythonic();
  if (has("<|python_start|>")) return &pythonic();
  if (has("<|start_header_id|>") && has("\"parameters\"")) return &llama();
  return nullptr;
}

}  // namespace verge::engine::tools
