#include "engine/formats/onnx.h"

#include <cstring>
#include <optional>

#include "engine/formats/protobuf.h"

namespace verge::engine {
namespace {

constexpr int64_t kDimension = int64_t{1} << 31;
constexpr size_t kDimensions = 8;
constexpr size_t kNodes = 1 << 16, kNodeNames = 1 << 10;

Error damaged(std::string_view what) {
  return fail(Code::LoadFailed, "the ONNX file is damaged: {}", what);
}

size_t bytes_of(OnnxTensor::Type type) {
  switch (type) {
    case OnnxTensor::Type::F32:
    case OnnxTensor::Type::I32: return 4;
    case OnnxTensor::Type::U8:
    case OnnxTensor::Type::I8: return 1;
    case OnnxTensor::Type::I64: return 8;
  }
  return 0;
}

// One number, or several packed into bytes, behind those that are there.
Result<> read_varints(const ProtobufField& field, std::vector<int64_t>* to) {
  if (field.kind == ProtobufField::Kind::Varint) {
    to->push_back(static_cast<int64_t>(field.integer));
    return {};
  }
  uint64_t value = 0;
  int shift = 0;
  for (const char c : field.bytes) {
    if (shift > 63) return damaged("a tensor's numbers");
    value |= static_cast<uint64_t>(c & 0x7f) << shift;
    shift += 7;
    if (c & 0x80) continue;
    to->push_back(static_cast<int64_t>(value));
    value = 0;
    shift = 0;
  }
  return {};
}

void read_floats(const ProtobufField& field, std::vector<float>* to) {
  if (field.kind == ProtobufField::Kind::Fixed32) return to->push_back(field.as_float());
  for (size_t at = 0; at + sizeof(float) <= field.bytes.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, field.bytes.data() + at, sizeof value);
    to->push_back(value);
  }
}

Result<OnnxTensor> read_tensor(std::string_view bytes, std::string* name) {
  OnnxTensor tensor;
  std::vector<int64_t> integers;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case 1: VERGE_TRY(read_varints(*field, &tensor.shape)); break;
      case 2: tensor.type = static_cast<OnnxTensor::Type>(field->integer & 0xff); break;
      case 4: read_floats(*field, &tensor.typed); break;
      case 5:
      case 7: VERGE_TRY(read_varints(*field, &integers)); break;
      case 8: *name = field->bytes; break;
      case 9: tensor.data = field->bytes; break;
      default: break;
    }
  }
  for (const int64_t value : integers) tensor.typed.push_back(static_cast<float>(value));
  if (reader.failed()) return damaged("a tensor");
  const size_t each = bytes_of(tensor.type);
  if (each == 0) {
    return fail(Code::LoadFailed, "the ONNX file's tensor '{}' is of a type that is not supported",
                name->substr(0, 100));
  }
  int64_t elements = 1;
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0 || dimension > kDimension || tensor.shape.size() > kDimensions) return damaged("a tensor's shape");
    if (dimension != 0 && elements > (int64_t{1} << 40) / dimension) return damaged("a tensor");
    elements *= dimension;
  }
  const bool whole = tensor.typed.empty() ? tensor.data.size() == static_cast<size_t>(elements) * each
                                          : tensor.typed.size() == static_cast<size_t>(elements) && tensor.data.empty();
  if (!whole) {
    return fail(Code::LoadFailed, "the ONNX file's tensor '{}' has {} bytes, its shape says {}; the rest may lie in another file",
                name->substr(0, 100), tensor.data.size() + tensor.typed.size() * each, static_cast<size_t>(elements) * each);
  }
  return tensor;
}

Result<OnnxNode> read_node(std::string_view bytes) {
  OnnxNode node;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == 1) node.inputs.emplace_back(field->bytes);
    if (field->number == 2) node.outputs.emplace_back(field->bytes);
    if (field->number == 3) node.name = field->bytes;
    if (field->number == 4) node.operation = field->bytes;
    if (node.inputs.size() + node.outputs.size() > kNodeNames) return damaged("a node");
  }
  if (reader.failed()) return damaged("a node");
  return node;
}

// Follows values through the graph.
class Uses {
 public:
  explicit Uses(const OnnxGraph& graph) : graph_(graph) {
    for (const OnnxNode& node : graph.nodes)
      for (const std::string& input : node.inputs) by_input_.emplace(input, &node);
  }
  // The first node of one of these kinds that takes the value.
  const OnnxNode* taken_by(const std::string& value, std::string_view operation) const {
    for (auto [it, end] = by_input_.equal_range(value); it != end; ++it)
      if (it->second->operation == operation) return it->second;
    return nullptr;
  }
  const OnnxTensor* constant(std::string_view name) const {
    const auto found = graph_.constants.find(name);
    return found == graph_.constants.end() ? nullptr : &found->second;
  }

 private:
  const OnnxGraph& graph_;
  std::multimap<std::string, const OnnxNode*> by_input_;
};

// The constant that is added to `value`; empty where there is none.
std::string bias_of(const Uses& uses, const std::string& value) {
  const OnnxNode* add = uses.taken_by(value, "Add");
  if (!add) return {};
  for (const std::string& input : add->inputs)
    if (input != value && uses.constant(input)) return input;
  return {};
}

LinearWeight transposed(const OnnxTensor& weight, float scale, float zero) {
  LinearWeight out{weight.shape[1], weight.shape[0], {}};
  const std::vector<float> values = weight.values();
  out.values.resize(values.size());
  for (int64_t i = 0; i < out.in; ++i)
    for (int64_t o = 0; o < out.out; ++o)
      out.values[static_cast<size_t>(o * out.in + i)] =
          (values[static_cast<size_t>(i * out.out + o)] - zero) * scale;
  return out;
}

bool is_matrix(const OnnxTensor* tensor) { return tensor && tensor->shape.size() == 2; }

}  // namespace

int64_t OnnxTensor::elements() const {
  return static_cast<int64_t>(typed.empty() ? data.size() / bytes_of(type) : typed.size());
}

std::vector<float> OnnxTensor::values() const {
  if (!typed.empty()) return typed;
  std::vector<float> out(static_cast<size_t>(elements()));
  const auto read = [&]<class T>(T) {
    for (size_t i = 0; i < out.size(); ++i) {
      T value;
      std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
      out[i] = static_cast<float>(value);
    }
  };
  switch (type) {
    case Type::F32: read(float{}); break;
    case Type::U8: read(uint8_t{}); break;
    case Type::I8: read(int8_t{}); break;
    case Type::I32: read(int32_t{}); break;
    case Type::I64: read(int64_t{}); break;
  }
  return out;
}

Result<OnnxGraph> parse_onnx(std::string_view bytes) {
  std::optional<std::string_view> graph;
  ProtobufReader model(bytes);
  while (const auto field = model.next())
    if (field->number == 7 && field->kind == ProtobufField::Kind::Bytes) graph = field->bytes;
  if (model.failed() || !graph) return fail(Code::LoadFailed, "the file is no ONNX model");
  OnnxGraph out;
  ProtobufReader reader(*graph);
  while (const auto field = reader.next()) {
    if (field->kind != ProtobufField::Kind::Bytes) continue;
    if (field->number == 1) {
      if (out.nodes.size() == kNodes) return damaged("too many nodes");
      VERGE_ASSIGN(node, read_node(field->bytes));
      out.nodes.push_back(std::move(node));
    }
    if (field->number == 5) {
      std::string name;
      VERGE_ASSIGN(tensor, read_tensor(field->bytes, &name));
      out.constants.emplace(std::move(name), std::move(tensor));
    }
  }
  if (reader.failed()) return damaged("its graph");
  return out;
}

Result<std::map<std::string, LinearWeight, std::less<>>> linear_weights(const OnnxGraph& graph) {
  std::map<std::string, LinearWeight, std::less<>> out;
  const Uses uses(graph);
  for (const OnnxNode& node : graph.nodes) {
    if (node.inputs.size() < 2 || node.outputs.empty()) continue;
    const OnnxTensor* weight = uses.constant(node.inputs[1]);
    if (!is_matrix(weight)) continue;
    if (node.operation == "MatMul") {
      const std::string bias = bias_of(uses, node.outputs[0]);
      if (!bias.empty()) out.emplace(bias, transposed(*weight, 1, 0));
      continue;
    }
    if (node.operation != "MatMulInteger") continue;
    // product -> Cast -> Mul by (scale of the input x scale of the weight) -> Add of the bias
    const OnnxNode* cast = uses.taken_by(node.outputs[0], "Cast");
    const OnnxNode* scaled =
        cast && !cast->outputs.empty() ? uses.taken_by(cast->outputs[0], "Mul") : nullptr;
    if (!scaled || scaled->outputs.empty()) continue;
    const std::string bias = bias_of(uses, scaled->outputs[0]);
    if (bias.empty()) continue;
    std::string_view name = node.inputs[1];
    constexpr std::string_view kEnd = "_quantized";
    if (!name.ends_with(kEnd)) return damaged("a quantised weight's name");
    name.remove_suffix(kEnd.size());
    const OnnxTensor* scale = uses.constant(std::string(name) + "_scale");
    const OnnxTensor* zero = uses.constant(std::string(name) + "_zero_point");
    if (!scale || scale->elements() != 1 || (zero && zero->elements() != 1)) {
      return fail(Code::LoadFailed, "the ONNX file's weight '{}' has no single scale",
                  name.substr(0, 100));
    }
    out.emplace(bias, transposed(*weight, scale->values()[0], zero ? zero->values()[0] : 0));
  }
  return out;
}

}  // namespace verge::engine
