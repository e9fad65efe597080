// The CPU backend: owns the threads and the choice of the instruction set, and hands every operation
// to its family (matmul.h, attention.h, convolution.h, norm.h, elementwise.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/backends/cpu/arena.h"
#include "engine/backends/cpu/convolution.h"
#include "engine/backends/cpu/isa.h"
#include "engine/backends/cpu/matmul.h"
#include "engine/backends/cpu/threads.h"
#include "engine/host_threads.h"

namespace verge::engine::cpu {

class CpuBackend final : public Backend, public HostThreads {
 public:
  CpuBackend(int threads, Isa isa);
  std::string name() const override;
  int threads() const override { return threads_.count(); }

  Result<std::unique_ptr<Matrix>> pack(const TensorView& weight, Precision precision) override;
  size_t packed_bytes(DType type, int64_t out, int64_t in, Precision precision) const override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(int layers, int kv_heads, int head_dim, int pages, KvType type) override;
  size_t kv_page_bytes(int layers, int kv_heads, int head_dim, KvType type) const override;

  void embed(const TensorView& table, std::span<const int32_t> tokens, float scale, float* x) override;
  void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs) override;
  void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate, const Matrix& up, Activation activation, float* y) override;
  void attention(const AttentionArgs& args) override;
  void add_norm(float* x, const float* y, int n, int64_t dim, RmsNorm norm) override;
  void full_attention(const FullAttentionArgs& args) override;
  void layer_norm(const float* x, int n, int64_t dim, LayerNorm norm, float* y) override;
  void activate(float* x, int64_t count, Activation activation) override;
  void softcap(float* x, int64_t count, float cap) override;
  Result<std::unique_ptr<AttentionMemory>> make_memory(int heads, int head_dim, int rows) override;
  void remember(const float* k, const float* v, int rows, AttentionMemory& memory) override;
  void attend(const AttentionMemory& memory, const float* q, int n, float scale, float* out) override;
  void attention_scores(const AttentionMemory& memory, int head, const float* q, int n, float scale, float* out) override;
  void unfold(const float* x, int frames, int channels, int kernel, int stride, float* y) override;
  void copy_pages(KvCache& cache, std::span<const std::pair<int32_t, int32_t>> pages) override;
  Result<std::unique_ptr<Convolution>> pack_convolution(const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias) override;
  size_t convolution_bytes(const ConvolutionShape& shape) const override { return cpu::convolution_bytes(shape); }
  void convolution(const ConvolutionArgs& args) override;
  void max_pool(const PoolArgs& args) override;
  void mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y) override;
  void gather_rows(const float* x, std::span<const int32_t> rows, int64_t dim, float* y) override;

  void for_each(int count, const std::function<void(int)>& body) override;

 private:
  Threads threads_;
  const Isa isa_;
  Arena arena_;
  MatmulScratch scratch_;
  ConvolutionScratch convolution_scratch_;
};

}  // namespace verge::engine::cpu
