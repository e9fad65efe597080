// Arbitrary bytes as a GGUF file: parsed, and every accepted tensor read to its last element.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::engine;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  ModelFile file;
  if (auto parsed = parse_gguf(bytes, "fuzz.gguf", &file); !parsed.ok()) {
    if (parsed.error().message.empty()) abort();
    return 0;
  }
  for (const auto& [name, tensor] : file.tensors) {
    const int64_t block = info(tensor.type).block, last = tensor.elements() - block;
    std::vector<float> values(static_cast<size_t>(block));
    dequantize(tensor, 0, block, values.data());
    dequantize(tensor, last, block, values.data());
  }
  return 0;
}
