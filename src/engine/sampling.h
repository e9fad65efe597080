// Choosing the next token. Draws come from a counter-based generator keyed by (seed, position), so
// the choice at a position depends on the logits, the parameters, the ids so far and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace verge::engine {

struct SamplingParams {
  float temperature = 0.6f;         // 0 = greedy (ties: the lowest id)
  float top_p = 1;                  // 1 = off
  int top_k = 0;                    // 0 = off
  float min_p = 0;                  // 0 = off
  float repetition_penalty = 1;     // > 1: logit / p if positive, * p if negative; over prompt and answer (HF)
  float frequency_penalty = 0;      // logit -= f * count in the answer (OpenAI)
  float presence_penalty = 0;       // logit -= p where count > 0
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;
  int logprobs = -1;                // -1 = none, 0 = the chosen token's only, n = top n too
};

struct Candidate {
  int32_t id;
  float logprob;  // of the distribution before penalties, bias and temperature
};
struct Sample {
  int32_t id = 0;
  float logprob = 0;                // filled where params.logprobs >= 0
  std::vector<Candidate> top;
};

// `logits` {vocabulary} is scratch and is changed. `prompt` and `answer` are the ids so far;
// the draw's key is (params.seed, answer.size()).
// `mask`: one bit a token, 32 to a word; empty = all. Tokens that it bars are gone before penalties, bias and filters, so
// that one that it admits is always chosen; logprobs are those of the distribution without it.
Sample sample(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> prompt, std::span<const int32_t> answer,
              std::span<const uint32_t> mask = {});

}  // namespace verge::engine
