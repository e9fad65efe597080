#include "engine/tools/thoughts.h"

#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

std::string_view without_end_space(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<std::string> Thought::marks() const {
  std::vector<std::string> out{open, close};
  out.insert(out.end(), before_text.begin(), before_text.end());
  if (!before_call.empty()) out.push_back(before_call);
  // A mark of several control tokens: each of them.
  for (const char* token : {"<|start|>", "<|channel|>", "<|message|>", "<|end|>"})
    for (size_t i = 0, n = out.size(); i < n; ++i)
      if (out[i].find(token) != std::string::npos && out[i] != token) {
        out.emplace_back(token);
        break;
      }
  return out;
}

const Thought* find_thought(std::string_view t) {
  const auto has = [t](std::string_view text) { return t.find(text) != std::string_view::npos; };
  static const Thought harmony{"<|channel|>analysis<|message|>",
                               "<|end|>",
                               {"<|start|>assistant", "<|channel|>final<|message|>"},
                               "<|start|>assistant"};
  static const Thought think{
      "<think>", "</think>", {}};  // Qwen 3, QwQ, DeepSeek R1, GLM, SmolLM3, Nemotron, Kimi
  static const Thought magistral{"[THINK]", "[/THINK]", {}};
  static const Thought gemma{"<|channel>thought\n", "<channel|>", {}};  // Gemma 4
  static const Thought cohere{
      "<|START_THINKING|>", "<|END_THINKING|>", {"<|START_RESPONSE|>"}};
  static const Thought granite{  // 3.2, where its template is told to
      "Here is my thought process:", "Here is my response:", {}};
  static const Thought seed{"<seed:think>", "</seed:think>", {}};
  if (has("<|channel|>") && has("analysis")) return &harmony;
  if (has("<think>") || has("</think>")) return &think;
  if (has("[THINK]")) return &magistral;
  if (has("<|channel>thought")) return &gemma;
  if (has("<seed:think>")) return &seed;
  if (has("<|START_THINKING|>")) return &cohere;
  if (has(granite.open) && has(granite.close)) return &granite;
  return nullptr;
}

bool begins_inside(const Thought& thought, std::string_view prompt) {
  return without_end_space(prompt).ends_with(without_end_space(thought.open));
}

bool is_closed(const Thought& thought, std::string_view prompt) {
  return without_end_space(prompt).ends_with(thought.close);
}

}  // namespace verge::engine::tools
