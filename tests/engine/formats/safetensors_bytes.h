// Builds safetensors files, right or wrong as a test wants them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace verge::engine::testing {

// Header length, header, `data` bytes counting up from 0.
inline std::string safetensors_bytes(std::string_view header, size_t data) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  bytes += header;
  for (size_t i = 0; i < data; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace verge::engine::testing
