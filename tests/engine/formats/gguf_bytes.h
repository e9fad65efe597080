// Builds GGUF files byte by byte, right or wrong as a test wants them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace verge::engine::testing {

class GgufBytes {
 public:
  enum Kind : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

  explicit GgufBytes(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    bytes += "GGUF";
    put(version).put(tensors).put(values);
  }

  template <class T>
  GgufBytes& put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes.append(raw, sizeof(T));
    return *this;
  }
  GgufBytes& text(std::string_view s) {
    put<uint64_t>(s.size());
    bytes += s;
    return *this;
  }
  GgufBytes& key(std::string_view name, Kind kind) { return text(name).put<uint32_t>(kind); }
  GgufBytes& string_value(std::string_view name, std::string_view value) { return key(name, String).text(value); }
  GgufBytes& u32_value(std::string_view name, uint32_t value) { return key(name, U32).put(value); }
  // `dims` in the file's order, fastest first.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    text(name).put<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  GgufBytes& data(size_t count, size_t alignment = 32, char fill = 0) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    bytes.append(count, fill);
    return *this;
  }

  std::string bytes;
};

}  // namespace verge::engine::testing
