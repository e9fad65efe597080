#include "engine/backends/cpu/arena.h"

#include <sys/mman.h>

#include <algorithm>

#include "engine/backends/cpu/layout.h"
#include "support/shortage.h"

namespace verge::engine::cpu {
namespace {

constexpr size_t kHugePage = 2 << 20;
// Address space of one mapping; pages are only taken when they are written. Large enough that the unused end of the
// last huge page does not matter.
constexpr size_t kMapping = 64 << 20;

}  // namespace

Result<std::shared_ptr<uint8_t>> Arena::allocate(size_t bytes) {
  const size_t size = whole_lines(bytes);
  if (size > size_ - used_) {
    const size_t wanted = std::max((size + kHugePage - 1) / kHugePage * kHugePage, kMapping);
    // One huge page more, so that the start can be moved to a huge page's boundary.
    void* base = mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return shortage(fmt::format("out of memory: {} MB for weights", wanted >> 20));
    const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(base) % kHugePage) % kHugePage;
    uint8_t* start = static_cast<uint8_t*>(base) + skip;
    madvise(start, wanted, MADV_HUGEPAGE);  // a wish: works without
    mapping_ = std::shared_ptr<uint8_t>(start, [base, wanted](uint8_t*) { munmap(base, wanted + kHugePage); });
    used_ = 0;
    size_ = wanted;
  }
  std::shared_ptr<uint8_t> piece(mapping_, mapping_.get() + used_);
  used_ += size;
  return piece;
}

}  // namespace verge::engine::cpu
