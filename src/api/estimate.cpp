#include "api/estimate.h"

#include <algorithm>

namespace verge::api {
namespace {

constexpr int64_t kTokensAMessage = 16;  // role and separators of a chat template
constexpr int64_t kSpokenMsAByte = 70;   // of English, fast
constexpr int64_t kSoundBytesAMs = 4;    // 32 kbit/s: speech as browsers record it

int64_t text_tokens(const json::value& value) {
  if (const json::string* text = value.if_string()) return static_cast<int64_t>(text->size());
  int64_t tokens = 0;
  if (const json::array* list = value.if_array()) {
    for (const json::value& item : *list) tokens += text_tokens(item);
  } else if (const json::object* object = value.if_object()) {
    tokens = kTokensAMessage;
    for (const auto& [key, member] : *object) tokens += text_tokens(member);
  }
  return tokens;
}

}  // namespace

protocol::Usage estimate(const std::vector<protocol::Request>& requests, const catalogue::Entry& entry) {
  protocol::Usage sum;
  for (const protocol::Request& request : requests) {
    if (get_bool(request.params, "count_tokens").value_or(false)) continue;  // nothing is computed
    int64_t prompt = kTokensAMessage;
    for (const auto& [key, member] : request.params) prompt += text_tokens(member);
    if (entry.context_tokens > 0) prompt = std::min<int64_t>(prompt, entry.context_tokens);
    sum.prompt_tokens += prompt;
    if (entry.task == "text-generation") {
      const int64_t room = std::max<int64_t>(entry.context_tokens - prompt, 1);
      sum.completion_tokens += entry.context_tokens > 0 ? std::min(get_int(request.params, "max_tokens").value_or(room), room)
                                                        : get_int(request.params, "max_tokens").value_or(0);
    }
    if (entry.task == "automatic-speech-recognition") sum.audio_ms += static_cast<int64_t>(request.payload.size()) / kSoundBytesAMs;
    if (entry.task == "text-to-speech") {
      const int64_t bytes = static_cast<int64_t>(get_string(request.params, "text").value_or("").size());
      sum.characters += bytes;
      sum.audio_ms += bytes * kSpokenMsAByte;
    }
    if (entry.task.starts_with("image-") || entry.task == "object-detection") sum.images += 1;
  }
  return sum;
}

}  // namespace verge::api
