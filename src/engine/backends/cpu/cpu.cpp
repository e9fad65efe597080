#include "engine/backends/cpu/cpu.h"

#include <sched.h>

#include <algorithm>
#include <cassert>

#include "engine/backends/cpu/attention.h"
#include "engine/backends/cpu/elementwise.h"
#include "engine/backends/cpu/full_attention.h"
#include "engine/backends/cpu/kv_cache.h"
#include "engine/backends/cpu/memory.h"
#include "engine/backends/cpu/norm.h"
#include "engine/backends/cpu/pack.h"

namespace verge::engine {
namespace cpu {

CpuBackend::CpuBackend(int threads, Isa isa) : threads_(threads), isa_(isa) {}

std::string CpuBackend::name() const { return std::string("cpu-") + to_string(isa_); }

Result<std::unique_ptr<Matrix>> CpuBackend::pack(const TensorView& weight, Precision precision) {
  return cpu::pack(weight, precision, arena_, threads_);
}

size_t CpuBackend::packed_bytes(DType type, int64_t out, int64_t in, Precision precision) const {
  return cpu::packed_bytes(type, out, in, precision);
}

Result<std::unique_ptr<KvCache>> CpuBackend::make_kv_cache(int layers, int kv_heads, int head_dim, int pages, KvType type) {
  return cpu::make_kv_cache(layers, kv_heads, head_dim, pages, type);
}

size_t CpuBackend::kv_page_bytes(int layers, int kv_heads, int head_dim, KvType type) const {
  return cpu::kv_page_bytes(layers, kv_heads, head_dim, type);
}

void CpuBackend::embed(const TensorView& table, std::span<const int32_t> tokens, float scale, float* x) {
  const int64_t columns = table.columns();
  threads_.parallel_for(static_cast<int64_t>(tokens.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = tokens[static_cast<size_t>(i)];
      assert(token >= 0 && token < table.rows());
      float* row = x + i * columns;
      dequantize(table, token * columns, columns, row);
      if (scale != 1) {
        for (int64_t j = 0; j < columns; ++j) row[j] *= scale;
      }
    }
  });
}

void CpuBackend::linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs) {
  cpu::linear(x, n, norm, outputs, threads_, isa_, scratch_);
}

void CpuBackend::gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate, const Matrix& up, Activation activation, float* y) {
  cpu::gated_linear(x, n, norm, gate, up, activation, y, threads_, isa_, scratch_);
}

void CpuBackend::attention(const AttentionArgs& args) { cpu::attention(args, threads_, isa_); }

void CpuBackend::add_norm(float* x, const float* y, int n, int64_t dim, RmsNorm norm) {
  cpu::add_norm(x, y, n, dim, norm, threads_, isa_);
}

void CpuBackend::full_attention(const FullAttentionArgs& args) { cpu::full_attention(args, threads_, isa_); }

void CpuBackend::layer_norm(const float* x, int n, int64_t dim, LayerNorm norm, float* y) { cpu::layer_norm(x, n, dim, norm, y, threads_, isa_); }

void CpuBackend::activate(float* x, int64_t count, Activation activation) { cpu::activate(x, count, activation, threads_, isa_); }

void CpuBackend::for_each(int count, const std::function<void(int)>& body) {
  threads_.parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(static_cast<int>(i));
  });
}

void CpuBackend::softcap(float* x, int64_t count, float cap) { cpu::softcap(x, count, cap, threads_, isa_); }

Result<std::unique_ptr<AttentionMemory>> CpuBackend::make_memory(int heads, int head_dim, int rows) { return cpu::make_memory(heads, head_dim, rows); }

void CpuBackend::remember(const float* k, const float* v, int rows, AttentionMemory& memory) { cpu::remember(k, v, rows, memory, threads_, isa_); }

void CpuBackend::attend(const AttentionMemory& memory, const float* q, int n, float scale, float* out) {
  cpu::attend(memory, q, n, scale, out, threads_, isa_);
}

void CpuBackend::attention_scores(const AttentionMemory& memory, int head, const float* q, int n, float scale, float* out) {
  cpu::attention_scores(memory, head, q, n, scale, out, isa_);
}

void CpuBackend::unfold(const float* x, int frames, int channels, int kernel, int stride, float* y) {
  cpu::unfold(x, frames, channels, kernel, stride, y, threads_);
}

void CpuBackend::copy_pages(KvCache& cache, std::span<const std::pair<int32_t, int32_t>> pages) { cpu::copy_pages(cache, pages); }

Result<std::unique_ptr<Convolution>> CpuBackend::pack_convolution(const ConvolutionShape& shape, std::span<const float> weight, std::span<const float> bias) {
  return cpu::pack_convolution(shape, weight, bias, arena_);
}

void CpuBackend::convolution(const ConvolutionArgs& args) { cpu::convolution(args, threads_, isa_, convolution_scratch_); }

void CpuBackend::max_pool(const PoolArgs& args) { cpu::max_pool(args, threads_, isa_); }

void CpuBackend::mean_pool(const float* x, int n, int64_t pixels, int64_t channels, float* y) {
  cpu::mean_pool(x, n, pixels, channels, y, threads_, isa_);
}

void CpuBackend::gather_rows(const float* x, std::span<const int32_t> rows, int64_t dim, float* y) {
  cpu::gather_rows(x, rows, dim, y);
}

}  // namespace cpu

Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  VERGE_ASSIGN(isa, cpu::choose_isa(options.isa));
  int threads = options.threads;
  if (threads <= 0) {
    cpu_set_t set;
    threads = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency());
  }
  return std::unique_ptr<Backend>(std::make_unique<cpu::CpuBackend>(threads, isa));
}

}  // namespace verge::engine
