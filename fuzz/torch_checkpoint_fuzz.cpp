// Arbitrary bytes as a torch checkpoint: both forms, and every accepted tensor read at both ends.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "engine/formats/pickle.h"
#include "engine/formats/torch_checkpoint.h"
#include "engine/tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::engine;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  (void)parse_pickle(bytes, "fuzz.pkl");
  std::vector<std::shared_ptr<MappedFile>> owned;
  const auto tensors = parse_torch_checkpoint(bytes, "fuzz.pth", &owned);
  if (!tensors.ok()) {
    if (tensors.error().message.empty()) abort();
    return 0;
  }
  for (const auto& [name, tensor] : *tensors) {
    const auto item = static_cast<size_t>(info(tensor.type).block_bytes);
    unsigned sum = 0;
    for (size_t i = 0; i < item; ++i) sum += static_cast<unsigned>(tensor.data[i]) + static_cast<unsigned>(tensor.data[tensor.bytes - 1 - i]);
    if (sum > 255 * 2 * item) abort();
  }
  return 0;
}
