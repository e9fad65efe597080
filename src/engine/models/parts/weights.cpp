#include "engine/models/parts/weights.h"

namespace verge::engine {
namespace {

std::string shape_text(int64_t rows, int64_t columns) {
  return rows < 0 ? fmt::format("{{{}}}", columns) : fmt::format("{{{}, {}}}", rows, columns);
}

}  // namespace

WeightReader::WeightReader(const ModelFile& file, Backend* packer, const Backend& sizes, Precision precision, const LoadOptions* options)
    : file_(file), packer_(packer), sizes_(sizes), precision_(precision), options_(options) {
  for (const auto& [name, tensor] : file.tensors) file_bytes_ += tensor.bytes;
}

// `rows` < 0: a vector. Null where the tensor is optional and not there.
Result<const TensorView*> WeightReader::take(const std::string& name, int64_t rows, int64_t columns, Need need) {
  const auto it = file_.tensors.find(name);
  if (it == file_.tensors.end()) {
    if (need == Need::Optional) return static_cast<const TensorView*>(nullptr);
    return fail(Code::LoadFailed, "{}: tensor '{}' {} is missing", file_.path, name, shape_text(rows, columns));
  }
  const TensorView& tensor = it->second;
  // A vector may come as a matrix of one row, a matrix as a convolution's kernel {out, in, width}.
  const bool fits = rows < 0 ? tensor.elements() == columns && tensor.columns() == columns
                             : tensor.rank >= 2 && tensor.shape[0] == rows && tensor.columns() == columns;
  if (!fits) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is {}, expected {}", file_.path, name, to_string(tensor), shape_text(rows, columns));
  }
  if (tensor.type == DType::I8 || tensor.type == DType::I16 || tensor.type == DType::I32 || tensor.type == DType::I64) {
    return fail(Code::LoadFailed, "{}: tensor '{}' is {}: weights must be floating point or quantised", file_.path, name, to_string(tensor));
  }
  if (taken_.insert(name).second) {
    parameters_ += tensor.elements();
    done_ += tensor.bytes;
  }
  return &tensor;
}

Result<> WeightReader::matrix(const std::string& name, int64_t out, int64_t in, Need need, std::unique_ptr<Matrix>* to) {
  VERGE_ASSIGN(tensor, take(name, out, in, need));
  if (!tensor) return {};
  const size_t packed = sizes_.packed_bytes(tensor->type, out, in, precision_);
  bytes_ += packed;
  matrix_bytes_ += packed;
  if (!packer_) return {};
  auto matrix = packer_->pack(*tensor, precision_);
  if (!matrix) {
    Error error = fail(Code::LoadFailed, "{}: tensor '{}': {}", file_.path, name, matrix.error().message);
    error.retry_after_ms = matrix.error().retry_after_ms;
    return error;
  }
  *to = std::move(*matrix);
  if (options_ && options_->progress) options_->progress(static_cast<double>(done_) / static_cast<double>(file_bytes_));
  return {};
}

Result<> WeightReader::vector(const std::string& name, int64_t count, Need need, std::vector<float>* to) {
  VERGE_ASSIGN(tensor, take(name, -1, count, need));
  if (!tensor) return {};
  bytes_ += static_cast<size_t>(count) * sizeof(float);
  if (!packer_) return {};
  to->resize(static_cast<size_t>(count));
  dequantize(*tensor, 0, count, to->data());
  return {};
}

Result<> WeightReader::values(const std::string& name, int64_t rows, int64_t columns, std::vector<float>* to) {
  VERGE_ASSIGN(tensor, take(name, rows, columns, Need::Required));
  bytes_ += static_cast<size_t>(rows * columns) * sizeof(float);
  if (!packer_) return {};
  to->resize(static_cast<size_t>(rows * columns));
  dequantize(*tensor, 0, rows * columns, to->data());
  return {};
}

Result<> WeightReader::table(const std::string& name, int64_t rows, int64_t columns, TensorView* to) {
  VERGE_ASSIGN(tensor, take(name, rows, columns, Need::Required));
  bytes_ += tensor->bytes;
  *to = *tensor;
  return {};
}

Result<> WeightReader::finish() const {
  for (const auto& [name, tensor] : file_.tensors) {
    if (!taken_.contains(name)) {
      return fail(Code::LoadFailed, "{}: tensor '{}' {} has no place in architecture '{}'", file_.path, name, to_string(tensor), file_.architecture);
    }
  }
  return {};
}

}  // namespace verge::engine
