// Takes a file's tensors by name, checks their shapes, packs them for the device, and at the end tells of any
// that nobody took: leaving a weight out would give wrong answers in silence.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"

namespace verge::engine {

enum class Need { Required, Optional };

class WeightReader {
 public:
  // Without a backend's pack() when `dry`: only sizes are counted.
  WeightReader(const ModelFile& file, Backend* packer, const Backend& sizes, Precision precision, const LoadOptions* options);

  // {out, in} into `to` (null where it is optional and not there).
  Result<> matrix(const std::string& name, int64_t out, int64_t in, Need need, std::unique_ptr<Matrix>* to);
  // {count} as f32; empty where it is optional and not there.
  Result<> vector(const std::string& name, int64_t count, Need need, std::vector<float>* to);
  // {rows, columns} as f32.
  Result<> values(const std::string& name, int64_t rows, int64_t columns, std::vector<float>* to);
  // Unpacked {rows, columns}, read from the file in place.
  Result<> table(const std::string& name, int64_t rows, int64_t columns, TensorView* to);
  // Fails with LoadFailed naming a tensor that was not taken.
  Result<> finish() const;

  size_t bytes() const { return bytes_; }           // held in memory
  size_t matrix_bytes() const { return matrix_bytes_; }
  int64_t parameters() const { return parameters_; }

 private:
  Result<const TensorView*> take(const std::string& name, int64_t rows, int64_t columns, Need need);

  const ModelFile& file_;
  Backend* const packer_;
  const Backend& sizes_;
  const Precision precision_;
  const LoadOptions* const options_;
  std::set<std::string, std::less<>> taken_;
  size_t file_bytes_ = 0, done_ = 0;
  size_t bytes_ = 0, matrix_bytes_ = 0;
  int64_t parameters_ = 0;
};

}  // namespace verge::engine
