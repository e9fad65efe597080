#include "node/download_size.h"

#include <algorithm>
#include <string_view>

namespace verge::node {
namespace {

// Decoders are published in 16 bits; encoders and image models in 32, and so are these decoders
// that embed.
constexpr std::string_view kWide[] = {"bert",   "xlm-roberta", "distilbert", "detr",
                                      "resnet", "vit",         "gemma3_text"};

}  // namespace

Download download_of(const catalogue::Entry& entry) {
  for (const catalogue::Source& source : entry.sources) {
    uint64_t sum = 0;
    for (const catalogue::File& file : source.files) sum += file.bytes;
    if (sum > 0) return {sum, true};
  }
  if (entry.sources.empty() || entry.parameters <= 0) return {};
  const bool wide = std::ranges::find(kWide, entry.architecture) != std::end(kWide);
  return {static_cast<uint64_t>(entry.parameters) * (wide ? 4 : 2), false};
}

}  // namespace verge::node
