// An ONNX file as data: the nodes of its graph and the constants that they take. Nothing is run: a
// model family finds its weights in it, once, when the file is converted.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::engine {

// Views point into the file's bytes.
struct OnnxTensor {
  enum class Type { F32 = 1, U8 = 2, I8 = 3, I32 = 6, I64 = 7 };
  Type type = Type::F32;
  std::vector<int64_t> shape;  // empty: a scalar
  std::string_view data;       // little-endian, as long as type and shape say; or
  std::vector<float> typed;    // the values, where the file has numbers in place of bytes

  int64_t elements() const;
  // As f32, {elements}. Of I64: what a float holds of it.
  std::vector<float> values() const;
};

struct OnnxNode {
  std::string name, operation;  // "/convs.0/pw1/MatMul_quant", "MatMulInteger"
  std::vector<std::string> inputs, outputs;
};

struct OnnxGraph {
  std::vector<OnnxNode> nodes;  // in the order in which they can run
  std::map<std::string, OnnxTensor, std::less<>> constants;
};

// `bytes` outlive the graph. Errors: LoadFailed naming what is wrong; sizes are checked against the
// bytes that are there.
Result<OnnxGraph> parse_onnx(std::string_view bytes);

// A linear layer's weight has no name of its own in a file that PyTorch exported; the bias that is
// added to its product has. For each such weight the bias's name: "a.pw1.bias" -> the weight as
// {out, in} f32, brought from 8 bits where it is quantised.
// Errors: LoadFailed where a product's scales are not as ONNX Runtime's quantiser writes them.
struct LinearWeight {
  int64_t out = 0, in = 0;
  std::vector<float> values;
};
Result<std::map<std::string, LinearWeight, std::less<>>> linear_weights(const OnnxGraph& graph);

}  // namespace verge::engine
