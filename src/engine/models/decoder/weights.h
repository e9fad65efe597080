// A decoder's weights, for the text generator (text.cpp) and for the encoder made of one (encoder.cpp).
#pragma once

#include <memory>
#include <vector>

#include "engine/models/decoder/config.h"
#include "engine/models/parts/weights.h"

namespace verge::engine {

struct DecoderLayer {
  std::vector<float> attn_norm, q_bias, k_bias, v_bias, o_bias, q_norm, k_norm, post_attn_norm, ffn_norm, post_ffn_norm;
  std::unique_ptr<Matrix> q, k, v, o, gate, up, down;
};

struct DecoderWeights {
  TensorView embedding;            // read in place: a step needs a few rows of it
  std::unique_ptr<Matrix> output;  // the embedding's own values where the file ties them
  std::vector<float> output_norm;
  std::vector<float> rope_divisors;       // {rotary_dim / 2} or empty; LongRoPE: of short texts
  std::vector<float> long_rope_divisors;  // of texts longer than the original context
  std::vector<DecoderLayer> layers;
};

// All but the output matrix, under GGUF's names (blk.N.attn_q.weight {heads * head_dim, dim} …; families whose files fuse
// tensors have split them, family.h). Errors: LoadFailed naming file and tensor.
Result<> read_decoder_weights(WeightReader& reader, const ModelFile& file, const DecoderConfig& config, DecoderWeights* weights);
// The output matrix; then no tensor may be left.
Result<> read_decoder_output(WeightReader& reader, const ModelFile& file, const DecoderConfig& config, DecoderWeights* weights);

}  // namespace verge::engine
