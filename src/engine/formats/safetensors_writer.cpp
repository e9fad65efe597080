#include "engine/formats/safetensors_writer.h"

#include <cstring>

#include "support/json.h"

namespace verge::engine {

std::string write_safetensors(const std::map<std::string, FloatTensor, std::less<>>& tensors) {
  json::object header;
  size_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t bytes = tensor.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"},
                    {"shape", json::array(tensor.shape.begin(), tensor.shape.end())},
                    {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins at a multiple of 8
  std::string out(8, '\0');
  const uint64_t length = text.size();
  std::memcpy(out.data(), &length, sizeof length);
  out += text;
  out.reserve(out.size() + at);
  for (const auto& [name, tensor] : tensors) {
    out.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * 4);
  }
  return out;
}

}  // namespace verge::engine
