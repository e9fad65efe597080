#include "engine/models/decoder/block.h"

namespace verge::engine {
namespace {

RopeConfig rope_config(const DecoderConfig& c, const DecoderWeights& w) {
  RopeConfig rope = c.rope;
  rope.divisors = w.rope_divisors;
  rope.long_divisors = w.long_rope_divisors;
  return rope;
}

RopeConfig local_rope_config(const DecoderConfig& c) {
  RopeConfig rope;
  rope.rotary_dim = c.rope.rotary_dim;
  rope.base = c.local_rope_base > 0 ? c.local_rope_base : c.rope.base;
  return rope;
}

}  // namespace

DecoderAngles::DecoderAngles(const DecoderConfig& c, const DecoderWeights& w)
    : local_(c.local_rope_base > 0), interleaved_(c.rope_interleaved), rotary_dim_(c.rope.rotary_dim), rope_(rope_config(c, w)),
      local_rope_(local_rope_config(c)) {}

void DecoderAngles::begin(int rows) {
  rows_ = 0;
  const size_t floats = static_cast<size_t>(rows) * rope_.frequencies().size();
  const auto grow = [floats](std::vector<float>& table) { if (table.size() < floats) table.resize(floats); };
  grow(cos_), grow(sin_);
  if (local_) grow(local_cos_), grow(local_sin_);
}

void DecoderAngles::add(int64_t position, int64_t length) {
  const size_t at = rows_++ * rope_.frequencies().size();
  rope_.angles(position, length, &cos_[at], &sin_[at]);
  if (local_) local_rope_.angles(position, length, &local_cos_[at], &local_sin_[at]);
}

RopeTable DecoderAngles::of(bool windowed) const {
  const bool local = windowed && local_;
  return {local ? local_cos_.data() : cos_.data(), local ? local_sin_.data() : sin_.data(), rotary_dim_, interleaved_};
}

// q, k and v of up to `at_once` rows.
void DecoderBlock::project(const DecoderLayer& layer, const DecoderRows& rows, int first) const {
  const int64_t row = first, q = int64_t{c_.heads} * c_.head_dim, kv = int64_t{c_.kv_heads} * c_.head_dim;
  const LinearOutput qkv[] = {{layer.q.get(), data_or_null(layer.q_bias), rows.q + row * q, false},
                              {layer.k.get(), data_or_null(layer.k_bias), rows.k + row * kv, false},
                              {layer.v.get(), data_or_null(layer.v_bias), rows.v + row * kv, false}};
  backend_.linear(rows.x + row * c_.dim, std::min(rows.at_once, rows.count - first), norm(layer.attn_norm), qkv);
}

// The output projection of attention and the MLP.
void DecoderBlock::finish(const DecoderLayer& layer, const DecoderRows& rows, int first) const {
  const int64_t row = first, q = int64_t{c_.heads} * c_.head_dim;
  const int n = std::min(rows.at_once, rows.count - first);
  float* x = rows.x + row * c_.dim;
  add(*layer.o, data_or_null(layer.o_bias), rows.heads + row * q, n, layer.post_attn_norm, rows.y, x);
  backend_.gated_linear(x, n, norm(layer.ffn_norm), *layer.gate, *layer.up, c_.activation, rows.ff);
  add(*layer.down, nullptr, rows.ff, n, layer.post_ffn_norm, rows.y, x);
}

// x += W·in + bias, normed first where the layer has a norm for it.
void DecoderBlock::add(const Matrix& weight, const float* bias, const float* in, int n, const std::vector<float>& post_norm, float* y, float* x) const {
  const bool normed = !post_norm.empty();
  const LinearOutput out[] = {{&weight, bias, normed ? y : x, !normed}};
  backend_.linear(in, n, RmsNorm{}, out);
  if (normed) backend_.add_norm(x, y, n, c_.dim, norm(post_norm));
}

}  // namespace verge::engine
