#include "engine/formats/stop_ids.h"

#include <algorithm>
#include <array>

#include "support/limits.h"

namespace verge::engine {

bool ends_turn(std::string_view token) {
  // Only read among control tokens, so ordinary text never matches.
  static constexpr std::array<std::string_view, 12> kMarkers = {
      "<|im_end|>",      // ChatML: Qwen, SmolLM
      "<|eot_id|>",      // Llama 3
      "<|eom_id|>",      // Llama 3, after a tool call
      "<|end_of_text|>",  // Llama 3 base, Granite
      "<|endoftext|>",   // GPT-2's, and all that kept it
      "<|eot|>",         // Llama 4
      "<end_of_turn>",   // Gemma
      "<|end|>",         // Phi
      "<|return|>",      // gpt-oss
      "<EOT>",           // older fine-tunes
      "<｜end▁of▁sentence｜>",  // DeepSeek
      "<|END_OF_TURN_TOKEN|>",  // Command R
  };
  return std::find(kMarkers.begin(), kMarkers.end(), token) != kMarkers.end();
}

void add_stop_id(int64_t id, std::vector<int32_t>* stop_ids) {
  if (id < 0 || id >= static_cast<int64_t>(limits::kVocabulary)) return;
  if (std::find(stop_ids->begin(), stop_ids->end(), static_cast<int32_t>(id)) == stop_ids->end()) stop_ids->push_back(static_cast<int32_t>(id));
}

}  // namespace verge::engine
