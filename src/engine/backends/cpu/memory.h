// Attention to a memory: see Backend::attend for the contract.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "engine/backend.h"
#include "engine/backends/cpu/arena.h"
#include "engine/backends/cpu/isa.h"

namespace verge::engine::cpu {

class Threads;

Result<std::unique_ptr<AttentionMemory>> make_memory(int heads, int head_dim, int rows);
void remember(const float* k, const float* v, int rows, AttentionMemory& memory, Threads& threads, Isa isa);
void attend(const AttentionMemory& memory, const float* q, int n, float scale, float* out, Threads& threads, Isa isa);
void attention_scores(const AttentionMemory& memory, int head, const float* q, int n, float scale, float* out, Isa isa);
void unfold(const float* x, int frames, int channels, int kernel, int stride, float* y, Threads& threads);
void copy_pages(KvCache& cache, std::span<const std::pair<int32_t, int32_t>> pages);

}  // namespace verge::engine::cpu
