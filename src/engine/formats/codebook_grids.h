// Tables of the IQ types: constants of GGUF. An entry holds the digits of 4 or 8 elements, element 0 lowest.
#pragma once

#include <cstdint>

namespace verge::engine::grids {

extern const uint16_t kIq1[2048];    // 8 digits of 2 bits: value + 1
extern const uint16_t kIq2Xxs[256];  // 8 digits of 2 bits: an index into kIq2Digits
extern const uint16_t kIq2Xs[512];
extern const uint16_t kIq2S[1024];
extern const uint16_t kIq3Xxs[256];  // 4 digits of 4 bits: an index into kIq3XxsDigits
extern const uint16_t kIq3S[512];    // 4 digits of 4 bits: (value - 1) / 2

inline constexpr int8_t kIq2Digits[] = {8, 25, 43};
inline constexpr int8_t kIq3XxsDigits[] = {4, 12, 20, 28, 36, 44, 52, 62};

}  // namespace verge::engine::grids
