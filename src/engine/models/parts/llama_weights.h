// The weights of the Llama family's layers, for the decoder (llama.cpp) and for the encoder made of one (encoders/decoder.cpp).
#pragma once

#include <memory>
#include <vector>

#include "engine/models/llama.h"
#include "engine/models/parts/weights.h"

namespace verge::engine {

struct LlamaLayer {
  std::vector<float> attn_norm, q_bias, k_bias, v_bias, o_bias, q_norm, k_norm, post_attn_norm, ffn_norm, post_ffn_norm;
  std::unique_ptr<Matrix> q, k, v, o, gate, up, down;
};

struct LlamaWeights {
  TensorView embedding;            // read in place: a step needs a few rows of it
  std::unique_ptr<Matrix> output;  // the embedding's own values where the file ties them
  std::vector<float> output_norm, rope_divisors;
  std::vector<LlamaLayer> layers;
};

// All but the output matrix. Errors: LoadFailed naming file and tensor.
Result<> read_llama_weights(WeightReader& reader, const ModelFile& file, const LlamaConfig& config, LlamaWeights* weights);
// The output matrix; then no tensor may be left.
Result<> read_llama_output(WeightReader& reader, const ModelFile& file, const LlamaConfig& config, LlamaWeights* weights);

inline const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

}  // namespace verge::engine
