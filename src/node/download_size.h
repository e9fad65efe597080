// What a pull of a model brings, before it is pulled. Pure.
#pragma once

#include <cstdint>

#include "catalogue/entry.h"

namespace verge::node {

struct Download {
  uint64_t bytes = 0;  // 0 = not known
  bool exact = false;  // the catalogue lists the files; else parameters times the usual width of
                       // such weights
};

// Of the first source that names its files' sizes, else of the hub's weights.
Download download_of(const catalogue::Entry& entry);

}  // namespace verge::node
