// Arbitrary bytes as a sound file: decoded twice, with the same number of samples, all of them within bounds.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "media/audio.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge;
  constexpr size_t kEnough = 16000 * 60;  // a small file may say that it holds hours
  auto decoder = media::AudioDecoder::open({reinterpret_cast<const char*>(data), size});
  if (!decoder) {
    if (decoder.error().message.empty()) abort();
    return 0;
  }
  size_t counts[2] = {};
  std::vector<float> piece(4096);
  for (size_t& count : counts) {
    while (count < kEnough) {
      auto read = (*decoder)->read(piece.data(), piece.size());
      if (!read || *read == 0) break;
      for (size_t i = 0; i < *read; ++i) {
        if (!(std::abs(piece[i]) <= 1)) abort();
      }
      count += *read;
    }
    if (!(*decoder)->rewind()) abort();
  }
  if (counts[0] != counts[1]) abort();
  return 0;
}
