// Tensors to the bytes of a safetensors file, for models that are converted when they are pulled.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace verge::engine {

struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;  // as many as the shape says
};

std::string write_safetensors(const std::map<std::string, FloatTensor, std::less<>>& tensors);

}  // namespace verge::engine
