// Arbitrary bytes as a safetensors file: parsed, and every accepted tensor read at both ends.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "engine/models/decoder/names.h"
#include "engine/formats/safetensors.h"
#include "engine/tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::engine;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto tensors = parse_safetensors(bytes, "fuzz.safetensors");
  if (!tensors.ok()) {
    if (tensors.error().message.empty()) abort();
    return 0;
  }
  for (const auto& [name, tensor] : *tensors) {
    float value = 0;
    dequantize(tensor, 0, 1, &value);
    dequantize(tensor, tensor.elements() - 1, 1, &value);
    (void)gguf_tensor_name(name);
  }
  return 0;
}
