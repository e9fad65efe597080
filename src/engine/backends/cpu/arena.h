// Memory for packed weights: anonymous mappings that ask for huge pages (reading a model of
// gigabytes through 4 KiB pages costs up to 15 % of the bandwidth), cut into pieces of whole cache lines.
// A mapping lives until the last piece of it is released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "support/error.h"

namespace verge::engine::cpu {

class Arena {
 public:
  // Zeroed, 64-byte aligned. Fails with LoadFailed where the memory cannot be had.
  Result<std::shared_ptr<uint8_t>> allocate(size_t bytes);

 private:
  std::shared_ptr<uint8_t> mapping_;
  size_t used_ = 0, size_ = 0;
};

}  // namespace verge::engine::cpu
