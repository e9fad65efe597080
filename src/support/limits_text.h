// Limits of the text encoders' tasks, beside limits.h.
#pragma once

#include <cstddef>

namespace verge::limits {

inline constexpr int kClasses = 1 << 16;               // of a classifier
inline constexpr int kEncoderLeastTokens = 256;        // of a batch of texts: shorter ones read the weights too often for their work
inline constexpr int kEncoderMostTokens = 4096;        // a longer text runs alone
inline constexpr size_t kTexts = 2048;                 // of one embeddings request, as OpenAI's; the published schemas say 100
inline constexpr size_t kContexts = 2048;              // passages of one reranking

}  // namespace verge::limits
