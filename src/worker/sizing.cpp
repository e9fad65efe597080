#include "worker/sizing.h"

#include <algorithm>
#include <cassert>

#include "support/limits.h"

namespace verge::worker {

Result<KvSize> size_kv(const KvNeed& need) {
  assert(need.page_bytes > 0);
  constexpr uint64_t kFullSequences = 16;
  int context = need.wanted_context > 0 ? need.wanted_context : need.model_context;
  if (need.model_context > 0) context = std::min(context, need.model_context);
  if (context < 1) return fail(Code::LoadFailed, "the model's files name no context length; set one with --context");

  uint64_t budget = need.budget_bytes;
  if (budget == 0) {
    budget = limits::kKvBytes;
    if (need.available_bytes > 0) budget = std::min(budget, need.available_bytes / 4);
  }
  const uint64_t affordable = budget / need.page_bytes;
  if (affordable < 1) return fail(Code::LoadFailed, "{} bytes for keys and values hold not even {} tokens ({} bytes)", budget, limits::kPageTokens, need.page_bytes);
  const uint64_t per_context = (static_cast<uint64_t>(context) + limits::kPageTokens - 1) / limits::kPageTokens;
  const uint64_t pages = std::min<uint64_t>({affordable, kFullSequences * per_context, INT32_MAX / limits::kPageTokens});
  KvSize size;
  size.pages = static_cast<int>(pages);
  size.context_tokens = std::min(context, size.pages * limits::kPageTokens);
  size.bytes = pages * need.page_bytes;
  return size;
}

}  // namespace verge::worker
