// One layer of a decoder, and what the two readers of it share: the text generator (text.cpp, keys and values in pages)
// and the encoder (encoder.cpp, whole texts). They differ in their attention, which run() takes as an argument.
//
//   each layer:  x += Wo·attention(Wq·n, Wk·n, Wv·n)      n = rms_norm(x)
//                x += Wdown·(activation(Wgate·m) * Wup·m)  m = rms_norm(x)
#pragma once

#include <algorithm>
#include <vector>

#include "engine/backend.h"
#include "engine/models/decoder/config.h"
#include "engine/models/decoder/weights.h"
#include "engine/models/parts/rope.h"

namespace verge::engine {

// Activations of the rows in a layer, row-major. Attention may replace `count`, x and heads by fewer rows.
struct DecoderRows {
  int count = 0;
  int at_once = 0;         // rows that the dense parts run together: y and ff hold no more
  float* x = nullptr;      // {count, dim}
  float* q = nullptr;      // {count, heads * head_dim}
  float* k = nullptr;      // {count, kv_heads * head_dim}
  float* v = nullptr;      // {count, kv_heads * head_dim}
  float* heads = nullptr;  // {count, heads * head_dim}: attention's result
  float* y = nullptr;      // {at_once, dim}
  float* ff = nullptr;     // {at_once, ff}
};

// Rotary angles of a step's rows, for the two kinds of layers.
class DecoderAngles {
 public:
  DecoderAngles(const DecoderConfig& config, const DecoderWeights& weights);
  // Makes room for `rows` rows and starts with none.
  void begin(int rows);
  // Angles of the next row: a position of a text of `length` tokens.
  void add(int64_t position, int64_t length);
  RopeTable of(bool windowed) const;
  int64_t switches_at() const { return rope_.switches_at(); }
  static int64_t floats_per_row(const DecoderConfig& config) { return 2 * int64_t{config.rope.rotary_dim}; }

 private:
  const bool local_;  // windowed layers have angles of their own
  const bool interleaved_;
  const int rotary_dim_;
  const Rope rope_, local_rope_;
  std::vector<float> cos_, sin_, local_cos_, local_sin_;
  size_t rows_ = 0;
};

class DecoderBlock {
 public:
  DecoderBlock(const DecoderConfig& config, Backend& backend) : c_(config), backend_(backend) {}

  // Runs `layer` over the rows. attend() makes rows.heads of rows.q, k and v.
  template <class Attend>
  void run(const DecoderLayer& layer, DecoderRows& rows, Attend&& attend) const {
    for (int row = 0; row < rows.count; row += rows.at_once) project(layer, rows, row);
    attend();
    for (int row = 0; row < rows.count; row += rows.at_once) finish(layer, rows, row);
  }

  RmsNorm norm(const std::vector<float>& weight) const { return {weight.data(), c_.norm_eps}; }

 private:
  void project(const DecoderLayer& layer, const DecoderRows& rows, int first) const;
  void finish(const DecoderLayer& layer, const DecoderRows& rows, int first) const;
  void add(const Matrix& weight, const float* bias, const float* in, int n, const std::vector<float>& post_norm, float* y, float* x) const;

  const DecoderConfig& c_;
  Backend& backend_;
};

inline const float* data_or_null(const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); }

}  // namespace verge::engine
