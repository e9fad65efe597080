// Arbitrary bytes as a Whisper model's weights, in CTranslate2's and whisper.cpp's form: every accepted tensor is read at both ends.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "engine/formats/ctranslate2.h"
#include "engine/formats/whisper_bin.h"
#include "engine/tensor.h"

namespace {

void check(const verge::Result<>& read, const verge::engine::ModelFile& file) {
  if (!read) {
    if (read.error().message.empty()) abort();
    return;
  }
  for (const auto& [name, tensor] : file.tensors) {
    float block[256];
    const int64_t step = verge::engine::info(tensor.type).block;
    dequantize(tensor, 0, step, block);
    dequantize(tensor, tensor.elements() - step, step, block);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::engine;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  ModelFile ctranslate2, whisper_cpp;
  check(parse_ctranslate2(bytes, &ctranslate2), ctranslate2);
  check(parse_whisper_bin(bytes, &whisper_cpp), whisper_cpp);
  return 0;
}
