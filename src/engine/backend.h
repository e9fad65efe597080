// What a device implements: about a dozen fused operations on which every model is written. A model
// file holds no element loop, no ISA and no thread.
//
// Shapes: n = rows of the step (tokens of all sequences together), row-major f32 activations.
// Determinism (all operations): the result for a row has the same bits whatever other rows are in
// the call, how many threads run, and whether its token came in a prefill chunk or a decode step.
// Aliasing: inputs and outputs never overlap unless the comment says so.
// Errors: shapes are checked when a matrix is packed and a model is loaded; operations assert.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "engine/tensor.h"
#include "support/error.h"

namespace verge::engine {

// How a weight matrix is held. Native keeps the file's precision, repacked for the instruction set,
// with activations quantised to 8 bits where the weights are integers. F32 expands the weights
// and computes in f32 throughout (reference runs, tests).
enum class Precision { Native, F32 };

enum class KvType { F16, BF16, F32 };

// A linear layer's weight {out, in} in the device's own layout. Owned by the model.
class Matrix {
 public:
  virtual ~Matrix() = default;
  int64_t out = 0, in = 0;
  DType type = DType::F32;  // of the source
  size_t bytes = 0;         // device memory held = bytes read per decode step
};

// Keys and values of all layers, in pages of limits::kPageTokens tokens. Page p of layer l holds
// keys and values of all KV heads. Owned by the worker; pages are handed out by worker/pages.
class KvCache {
 public:
  virtual ~KvCache() = default;
  int layers = 0, kv_heads = 0, head_dim = 0, pages = 0;
  KvType type = KvType::F16;
  size_t bytes = 0;
};

// Keys and values of one layer that queries attend to without a mask: an encoder's frames, seen from itself and
// from a decoder. Filled as a whole by remember(), read by any number of calls.
class AttentionMemory {
 public:
  virtual ~AttentionMemory() = default;
  int heads = 0, head_dim = 0;
  int capacity = 0, rows = 0;  // rows that fit; that are there
  size_t bytes = 0;
};

enum class Activation { Silu, GeluTanh, GeluErf, Relu };

// y = W·x̂ + bias, where x̂ = x or rms_norm(x). `accumulate`: y += instead of y =.
struct LinearOutput {
  const Matrix* weight = nullptr;
  const float* bias = nullptr;  // {out} or null
  float* y = nullptr;           // {n, out}
  bool accumulate = false;
};
struct RmsNorm {
  const float* weight = nullptr;  // {in}; null = no norm
  float eps = 1e-5f;
};

// One sequence's share of a step: rows [first_row, first_row + rows) hold tokens at positions
// [position, position + rows); its page table covers at least position + rows tokens.
struct SequenceRows {
  int first_row = 0;
  int rows = 0;
  int position = 0;
  std::span<const int32_t> pages;
};

// Rotary angles of the step's rows, computed once a step by the model (rope.h).
struct RopeTable {
  const float* cos = nullptr;  // {n, rotary_dim / 2}, the attention factor of YaRN included
  const float* sin = nullptr;
  int rotary_dim = 0;          // <= head_dim; the rest passes through
  bool interleaved = false;    // true: pairs (2i, 2i+1) as in GGUF's llama files; false: (i, i + rotary_dim/2)
};

// q and k are normed per head (where weights are given), rotated, k and v stored in the cache, then
// out = softmax(scale · q·Kᵀ)·V per head, causal, over the last `window` positions (0 = all).
// Query head h reads KV head h / (heads / kv_heads). q and k may be changed by the call.
struct AttentionArgs {
  int n = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  float* q = nullptr;          // {n, heads * head_dim}
  float* k = nullptr;          // {n, kv_heads * head_dim}
  const float* v = nullptr;    // {n, kv_heads * head_dim}
  float* out = nullptr;        // {n, heads * head_dim}
  const float* q_norm = nullptr;  // {head_dim} or null (Qwen 3, Gemma 3)
  const float* k_norm = nullptr;
  float norm_eps = 1e-6f;
  RopeTable rope;
  float scale = 1;
  float softcap = 0;           // 0 = none; else scores = softcap * tanh(scores / softcap) (Gemma 2)
  int window = 0;
  int layer = 0;
  KvCache* cache = nullptr;
  std::span<const SequenceRows> sequences;
};

struct LayerNorm {
  const float* weight = nullptr;  // {dim}
  const float* bias = nullptr;    // {dim}
  float eps = 1e-12f;
};

// q and k are normed per head (where weights are given) and rotated, then out = softmax(scale · q·Kᵀ)·V per head. Row i
// of a sequence sees that sequence's rows [i - behind, i + ahead]: without limits all of them, with `ahead` 0 those up to
// itself. The sequences lie behind each other without padding: sequence i has rows [starts[i], starts[i + 1]). Query head h
// reads KV head h / (heads / kv_heads).
struct FullAttentionArgs {
  int heads = 0, head_dim = 0;
  int kv_heads = 0;          // 0 = as many as heads
  const float* q = nullptr;  // {n, heads * head_dim}, as out
  const float* k = nullptr;  // {n, kv_heads * head_dim}, as v
  const float* v = nullptr;
  float* out = nullptr;
  float scale = 1;
  std::span<const int32_t> starts;  // {sequences + 1}, rising
  int behind = std::numeric_limits<int>::max(), ahead = std::numeric_limits<int>::max();  // >= 0
  const float* q_norm = nullptr;    // {head_dim} or null
  const float* k_norm = nullptr;
  float norm_eps = 1e-6f;
  RopeTable rope;                   // without tables: no rotation
  float softcap = 0;                // as in AttentionArgs
};

// Filters of a convolution in the device's own layout, the bias with them. Owned by the model.
struct ConvolutionShape {
  int64_t in = 0, out = 0;  // channels
  int kernel_height = 1, kernel_width = 1, stride = 1;
  bool depthwise = false;   // in == out: one filter a channel
};
class Convolution {
 public:
  virtual ~Convolution() = default;
  ConvolutionShape shape;
  size_t bytes = 0;
};

// Pictures lie channels last: {n, height, width, channels}. Taps outside the picture read zero.
// y = min(max(conv(x) + bias + add, low), high); with the infinities nothing is cut, (0, inf) is ReLU, (0, 6) ReLU6.
struct ConvolutionArgs {
  const Convolution* weights = nullptr;
  const float* x = nullptr;
  int n = 0, height = 0, width = 0;
  int out_height = 0, out_width = 0;
  int pad_top = 0, pad_left = 0;     // output pixel (0, 0) has its first tap at (-pad_top, -pad_left)
  float* y = nullptr;                // {n, out_height, out_width, out}
  const float* add = nullptr;        // shaped as y, and may be y; null for none and for depthwise ones
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

// The largest value under a square window; places outside the picture don't count, and no window lies wholly outside.
struct PoolArgs {
  const float* x = nullptr;
  int n = 0, height = 0, width = 0;
  int64_t channels = 0;
  int kernel = 0, stride = 1, pad = 0;
  int out_height = 0, out_width = 0;
  float* y = nullptr;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu-avx512", for logs and `verge bench`
  virtual int threads() const = 0;

  // Repacks a {out, in} weight for this device; the source may be unmapped afterwards.
  // Fails with LoadFailed where the type or shape is not supported.
  virtual Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision precision) = 0;
  // Bytes that pack() would hold, for the memory ledger.
  virtual size_t packed_bytes(DType type, int64_t out, int64_t in, Precision precision) const = 0;

  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(int layers, int kv_heads, int head_dim, int pages, KvType type) = 0;
  virtual size_t kv_page_bytes(int layers, int kv_heads, int head_dim, KvType type) const = 0;

  // x[i] = scale * row tokens[i] of the table (a file's tensor, any type), {n, columns}.
  virtual void embed(const TensorView& table, std::span<const int32_t> tokens, float scale, float* x) = 0;
  // One to four products of the same input {n, in}; weights are read once for all n rows.
  virtual void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs) = 0;
  // y = activation(gate·x̂) * (up·x̂), {n, ff}.
  virtual void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate, const Matrix& up, Activation activation, float* y) = 0;
  virtual void attention(const AttentionArgs& args) = 0;
  virtual void full_attention(const FullAttentionArgs& args) = 0;
  // x += rms_norm(y), {n, dim} (Gemma's norms after attention and MLP).
  virtual void add_norm(float* x, const float* y, int n, int64_t dim, RmsNorm norm) = 0;
  // y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, {n, dim}; y may be x.
  virtual void layer_norm(const float* x, int n, int64_t dim, LayerNorm norm, float* y) = 0;
  // x = activation(x), in place.
  virtual void activate(float* x, int64_t count, Activation activation) = 0;
  // x = cap * tanh(x / cap), in place (Gemma 2's logits).
  virtual void softcap(float* x, int64_t count, float cap) = 0;
  // Fails with LoadFailed where heads have no multiple of 16 channels.
  virtual Result<std::unique_ptr<AttentionMemory>> make_memory(int heads, int head_dim, int rows) = 0;
  // k, v {rows, heads * head_dim} replace what the memory held.
  virtual void remember(const float* k, const float* v, int rows, AttentionMemory& memory) = 0;
  // out = softmax(scale · q·Kᵀ)·V per head over all rows of the memory; q, out {n, heads * head_dim}, may be the same.
  virtual void attend(const AttentionMemory& memory, const float* q, int n, float scale, float* out) = 0;
  // The scores of one head before the softmax, {n, memory.rows}.
  virtual void attention_scores(const AttentionMemory& memory, int head, const float* q, int n, float scale, float* out) = 0;
  // Rows of a convolution over time as a product: y[t][c * kernel + j] = x[t * stride + j - kernel / 2][c], zero outside;
  // x {frames, channels}, y {frames / stride rounded up, channels * kernel}.
  virtual void unfold(const float* x, int frames, int channels, int kernel, int stride, float* y) = 0;
  // Copies whole pages of all layers, in order: {from, to}.
  virtual void copy_pages(KvCache& cache, std::span<const std::pair<int32_t, int32_t>> pages) = 0;
  // `weight` {out, in (1 for depthwise), kernel_height, kernel_width} as PyTorch has it, `bias` {out}.
  virtual Result<std::unique_ptr<Convolution>> pack_convolution(const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias) = 0;
  // Bytes that pack_convolution() would hold.
  virtual size_t convolution_bytes(const ConvolutionShape& shape) const = 0;
  virtual void convolution(const ConvolutionArgs& args) = 0;
  virtual void max_pool(const PoolArgs& args) = 0;
  // y[i] = mean of picture i's pixels, {n, channels}.
  virtual void mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y) = 0;

  // y[i] = x[rows[i]], {rows, dim}.
  virtual void gather_rows(const float* x, std::span<const int32_t> rows, int64_t dim, float* y) = 0;
};

struct BackendOptions {
  int threads = 0;       // 0 = all cores the process may use
  std::string isa;       // "" = best of this machine; "base", "avx2", "avx512" for tests
};

// The CPU backend; fails where `isa` is not available here.
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

}  // namespace verge::engine
