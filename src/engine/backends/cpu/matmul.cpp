// A linear layer in two phases. First the activations: each row is normed, brought to the form that the
// weights' type multiplies with (8-bit codes, bf16, f32) and laid out in panels of up to eight columns. With little
// to prepare every thread does all of it for itself, which is cheaper than meeting at a barrier; otherwise the
// threads share it, by panels and ranges of k. Then the products: the groups of 16 output rows, of all outputs of the call together, are
// handed out in pieces that get smaller towards the end. For each few groups a thread goes over all
// panels, so weights come from memory once, and the tile of results is finished (bias, activation, sum) while it is
// in the nearest cache.
//
// Which thread, piece or panel computes an element has no influence on its value: see kernels/matmul.cpp.
#include "engine/backends/cpu/matmul.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

#include "engine/backends/cpu/elementwise.h"
#include "engine/backends/cpu/kernels/matmul.h"
#include "engine/backends/cpu/pack.h"
#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

// Up to so many activations each thread prepares all by itself (about a microsecond of work, as much as a barrier).
constexpr int64_t kAloneElements = 8192;
// Multiply-adds below which waking other threads costs more than they save.
constexpr int64_t kForkProducts = 1 << 16;

const MatmulKernels& kernels_for(Isa isa) {
  switch (isa) {
    case Isa::Avx512: return avx512::matmul_kernels;
    case Isa::Avx2: return avx2::matmul_kernels;
    case Isa::Base: break;
  }
  return base::matmul_kernels;
}

const PackedMatrix& packed(const Matrix& matrix) { return static_cast<const PackedMatrix&>(matrix); }

struct Width {
  int index, columns;  // into kPanelWidths; its value
};

// The narrowest panel that holds so many columns.
Width width_for(int columns) {
  for (int i = 0; i < kWidths; ++i) {
    if (kPanelWidths[i] >= columns) return {i, kPanelWidths[i]};
  }
  return {kWidths - 1, kPanelColumns};
}

// The panels of a call: n columns as panels of eight and a narrower last one.
struct Shape {
  int n;
  int64_t in;
  int panels() const { return (n + kPanelColumns - 1) / kPanelColumns; }
  int columns(int panel) const { return std::min(kPanelColumns, n - panel * kPanelColumns); }
  size_t offset(PanelKind kind, int panel) const { return static_cast<size_t>(panel) * panel_bytes(kind, in, kPanelColumns); }
  size_t bytes(PanelKind kind) const {
    const int last = panels() - 1;
    return whole_lines(offset(kind, last) + panel_bytes(kind, in, width_for(columns(last)).columns));
  }
};

// Activations in every form that the call's weights need.
struct Panels {
  uint8_t* of[kPanelKinds] = {};
};

struct Call {
  const float* x;
  Shape shape;
  RmsNorm norm;
  bool kinds[kPanelKinds] = {};
  const MatmulKernels& kernels;
  Isa isa;

  Call(const float* x_, int n, int64_t in, RmsNorm norm_, Isa isa_) : x(x_), shape{n, in}, norm(norm_), kernels(kernels_for(isa_)), isa(isa_) {}
  void add(const PackedMatrix& weight) {
    assert(weight.in == shape.in);
    kinds[static_cast<size_t>(panel_kind(weight.layout))] = true;
  }

  size_t panel_memory() const {
    size_t bytes = 0;
    for (int kind = 0; kind < kPanelKinds; ++kind) {
      if (kinds[kind]) bytes += shape.bytes(static_cast<PanelKind>(kind));
    }
    return bytes;
  }

  Panels place(uint8_t* memory) const {
    Panels panels;
    for (int kind = 0; kind < kPanelKinds; ++kind) {
      if (!kinds[kind]) continue;
      panels.of[kind] = memory;
      memory += shape.bytes(static_cast<PanelKind>(kind));
    }
    return panels;
  }

  // Part `part` of `parts` of a panel: a range of k, of all its columns.
  void prepare(int panel, int part, int parts, const Panels& panels) const {
    PanelSource source{x + static_cast<int64_t>(panel) * kPanelColumns * shape.in, shape.in, shape.columns(panel), norm.weight, {}};
    if (norm.weight) {
      for (int c = 0; c < source.columns; ++c) source.inverse_rms[c] = kernels.inverse_rms(source.x + c * shape.in, shape.in, norm.eps);
    }
    const auto cut = [&](int at) { return at == parts ? shape.in : shape.in * at / parts / kBlockElements * kBlockElements; };
    for (int kind = 0; kind < kPanelKinds; ++kind) {
      if (!panels.of[kind]) continue;
      kernels.prepare[kind](source, cut(part), cut(part + 1), panels.of[kind] + shape.offset(static_cast<PanelKind>(kind), panel),
                            width_for(source.columns).columns);
    }
  }

  void product(const PackedMatrix& weight, int64_t group, int count, const Panels& panels, int panel, float* tile) const {
    const PanelKind kind = panel_kind(weight.layout);
    const Width width = width_for(shape.columns(panel));
    kernels.product[static_cast<size_t>(weight.layout)][width.index](weight.group(group), count, shape.in,
                                                                     panels.of[static_cast<size_t>(kind)] + shape.offset(kind, panel), tile);
  }
};

// Cuts [0, items) for `threads` takers: half of it in one piece each, half of the rest in the next round, and
// so on down to `grain`. Late threads find small pieces; each takes few.
class Pieces {
 public:
  Pieces(int64_t items, int threads, int64_t grain) : items_(items), threads_(threads), grain_(grain) {}

  // False past the end.
  bool piece(int64_t index, int64_t* begin, int64_t* end) const {
    int64_t start = 0;
    for (int64_t size = piece_size(items_);; size = piece_size(items_ - start)) {
      if (index < threads_ || size <= grain_) {
        *begin = start + index * size;
        *end = std::min(*begin + size, items_);
        return *begin < items_;
      }
      start += threads_ * size;
      index -= threads_;
    }
  }

 private:
  int64_t piece_size(int64_t left) const { return std::max(left / (2 * threads_) / grain_ * grain_, grain_); }
  int64_t items_, threads_, grain_;
};

// Prepares the activations, then calls body(begin, end, panels) for all groups in [0, groups).
template <class Body>
void execute(const Call& call, int64_t groups, Threads& threads, MatmulScratch& scratch, const Body& body) {
  const Shape& shape = call.shape;
  const bool alone = shape.n * shape.in <= kAloneElements;
  const bool fork = threads.count() > 1 && shape.n * shape.in * groups * kGroupRows >= kForkProducts;
  if (!fork) {
    const Panels panels = call.place(scratch.panels.reserve(call.panel_memory()));
    for (int p = 0; p < shape.panels(); ++p) call.prepare(p, 0, 1, panels);
    return body(int64_t{0}, groups, panels);
  }
  const Pieces pieces(groups, threads.count(), std::clamp<int64_t>(groups / (8 * threads.count()), 1, kCallGroups));
  if (alone && scratch.own_panels.size() < static_cast<size_t>(threads.count())) scratch.own_panels.resize(static_cast<size_t>(threads.count()));
  Panels shared;
  if (!alone) shared = call.place(scratch.panels.reserve(call.panel_memory()));
  // A few panels are cut along k too, so that all threads have a part.
  const int parts = shape.panels() < 4 * threads.count() ? threads.count() : 1, jobs = shape.panels() * parts;
  threads.run([&](int thread) {
    Panels panels = shared;
    if (alone) {
      panels = call.place(scratch.own_panels[static_cast<size_t>(thread)].reserve(call.panel_memory()));
      for (int p = 0; p < shape.panels(); ++p) call.prepare(p, 0, 1, panels);
    } else {
      for (int64_t job; (job = threads.take(1)) < jobs;) call.prepare(static_cast<int>(job) / parts, static_cast<int>(job) % parts, parts, panels);
      threads.barrier();
    }
    int64_t begin, end;
    // The first piece is a thread's own: no counter is touched before the second.
    for (int64_t index = thread; pieces.piece(index, &begin, &end); index = threads.count() + threads.take(1)) body(begin, end, panels);
  });
}

struct Tile {
  alignas(kLine) float values[kCallGroups * kPanelColumns * kGroupRows];
};

// Takes hold of the lines of the result that a tile will be stored to, while its product runs.
void prefetch_result(const float* y, int64_t stride, int columns, int groups) {
  for (int c = 0; c < columns; ++c) {
    for (int g = 0; g < groups; ++g) __builtin_prefetch(y + c * stride + g * kGroupRows, 1);
  }
}

// Calls body(group, count, panel) for [begin, end), a few groups at a time for all panels.
template <class Body>
void for_tiles(int64_t begin, int64_t end, const Shape& shape, const Body& body) {
  for (int64_t group = begin; group < end; group += kCallGroups) {
    const int count = static_cast<int>(std::min<int64_t>(kCallGroups, end - group));
    for (int panel = 0; panel < shape.panels(); ++panel) body(group, count, panel);
  }
}

}  // namespace

void Scratch::Free::operator()(uint8_t* p) const { std::free(p); }

uint8_t* Scratch::reserve(size_t bytes) {
  bytes = whole_lines(bytes);
  if (bytes > size_) {
    data_.reset(static_cast<uint8_t*>(std::aligned_alloc(kLine, bytes)));
    if (!data_) throw std::bad_alloc();  // as operator new does
    std::fill_n(data_.get(), bytes, uint8_t{0});  // unused columns of a panel are read too
    size_ = bytes;
  }
  return data_.get();
}

void linear(const float* x, int n, RmsNorm norm, std::span<const LinearOutput> outputs, Threads& threads, Isa isa, MatmulScratch& scratch) {
  if (n <= 0 || outputs.empty()) return;
  Call call(x, n, outputs[0].weight->in, norm, isa);
  int64_t groups = 0;
  for (const LinearOutput& output : outputs) {
    const PackedMatrix& weight = packed(*output.weight);
    call.add(weight);
    groups += weight.groups;
  }
  execute(call, groups, threads, scratch, [&](int64_t begin, int64_t end, const Panels& panels) {
    Tile tile;
    int64_t first = 0;  // of this output among all groups
    for (const LinearOutput& output : outputs) {
      const PackedMatrix& weight = packed(*output.weight);
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, weight.groups);
      for_tiles(from, to, call.shape, [&](int64_t group, int count, int panel) {
        const int columns = call.shape.columns(panel);
        const int64_t row = group * kGroupRows;
        float* y = output.y + static_cast<int64_t>(panel) * kPanelColumns * weight.out + row;
        prefetch_result(y, weight.out, columns, count);
        call.product(weight, group, count, panels, panel, tile.values);
        call.kernels.store(tile.values, width_for(columns).columns, columns, std::min<int64_t>(count * kGroupRows, weight.out - row),
                           output.bias ? output.bias + row : nullptr, output.accumulate, y, weight.out);
      });
      first += weight.groups;
    }
  });
}

void gated_linear(const float* x, int n, RmsNorm norm, const Matrix& gate_matrix, const Matrix& up_matrix, Activation activation, float* y,
                  Threads& threads, Isa isa, MatmulScratch& scratch) {
  if (n <= 0) return;
  const PackedMatrix &gate_weight = packed(gate_matrix), &up_weight = packed(up_matrix);
  assert(gate_weight.out == up_weight.out);
  Call call(x, n, gate_weight.in, norm, isa);
  call.add(gate_weight);
  call.add(up_weight);
  // Both products of a group count as one item: kForkProducts is a rough bound.
  execute(call, gate_weight.groups, threads, scratch, [&](int64_t begin, int64_t end, const Panels& panels) {
    Tile gates, ups;
    for_tiles(begin, end, call.shape, [&](int64_t group, int count, int panel) {
      const int columns = call.shape.columns(panel), width = width_for(columns).columns;
      const int64_t row = group * kGroupRows;
      float* to = y + static_cast<int64_t>(panel) * kPanelColumns * gate_weight.out + row;
      prefetch_result(to, gate_weight.out, columns, count);
      call.product(gate_weight, group, count, panels, panel, gates.values);
      call.product(up_weight, group, count, panels, panel, ups.values);
      gate(gates.values, ups.values, static_cast<int64_t>(count) * width * kGroupRows, activation, gates.values, isa);
      call.kernels.store(gates.values, width, columns, std::min<int64_t>(count * kGroupRows, gate_weight.out - row), nullptr, false,
                         to, gate_weight.out);
    });
  });
}

}  // namespace verge::engine::cpu
