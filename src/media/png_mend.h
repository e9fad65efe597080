// Files that are almost PNGs, as copies that libpng reads.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "support/error.h"

namespace verge::media {

struct MendedPng {
  std::vector<std::byte> bytes;
  bool apple = false;  // pixels are blue, green, red (alpha), the colours multiplied by their alpha
  bool truncated = false;  // the pixels' last chunk was cut; what is there of it is kept
};

// nullopt where libpng takes the bytes as they are. Mended are:
// - what Xcode makes of PNGs in iPhone apps: a chunk "CgBI" first, pixels deflated without zlib's
// header and sum;
// - files that end within their last pixels' chunk or its check sum.
// Fails with InvalidInput where the header's or palette's check sum is wrong, where an iPhone's
// pixels do not inflate or are more than its header says. As in Pillow, pixels have zlib's own sum
// and need no other.
Result<std::optional<MendedPng>> mend_png(std::span<const std::byte> bytes);

}  // namespace verge::media
