#include "engine/models/table.h"

namespace verge::engine {

// models.inc is written by the build: VERGE_MODEL(llama) VERGE_MODEL(qwen) …
#define VERGE_MODEL(file) std::span<const Architecture> file##_architectures();
#include "models.inc"
#undef VERGE_MODEL

std::vector<const Architecture*> architectures() {
  std::vector<const Architecture*> all;
  for (const auto& list : {
#define VERGE_MODEL(file) file##_architectures(),
#include "models.inc"
#undef VERGE_MODEL
       }) {
    for (const Architecture& architecture : list) all.push_back(&architecture);
  }
  return all;
}

Result<const Architecture*> find_architecture(const ModelFile& file) {
  std::string names;
  for (const Architecture* architecture : architectures()) {
    if (file.architecture == architecture->name) return architecture;
    names += names.empty() ? architecture->name : std::string(", ") + architecture->name;
  }
  return fail(Code::LoadFailed, "{}: architecture '{}' is not supported; these are: {}", file.path, file.architecture.substr(0, 64), names);
}

}  // namespace verge::engine
