#include "engine/models/images/table.h"

namespace verge::engine {
namespace {

struct Architecture {
  const char* name;
  Result<std::unique_ptr<ImageModel>> (*load)(const ImageFile& file, Backend& backend, const LoadOptions& options);
  Result<ImageModelNeed> (*need)(const ImageFile& file, Backend& backend);
};
constexpr Architecture kArchitectures[] = {
    {"resnet", load_resnet, resnet_need},
    {"efficientnet-lite0", load_efficientnet, efficientnet_need},
    {"vit", load_vit, vit_need},
    {"detr", load_detr, detr_need},
};

Result<const Architecture*> find(const ImageFile& file) {
  std::string names;
  for (const Architecture& architecture : kArchitectures) {
    if (file.architecture == architecture.name) return &architecture;
    names += names.empty() ? architecture.name : std::string(", ") + architecture.name;
  }
  return fail(Code::LoadFailed, "{}: architecture '{}' is not supported; these are: {}", file.path, file.architecture.substr(0, 64), names);
}

}  // namespace

ImageModelInfo image_info(const ImageFile& file) {
  ImageModelInfo info;
  info.architecture = file.architecture;
  info.task = file.task;
  info.labels = file.labels;
  info.preparation = file.preparation;
  return info;
}

Size input_size(const ImagePreparation& p) {
  if (p.fixed_size()) return {p.output_width(), p.output_height()};
  const int most = p.longest > 0 ? p.longest : p.shortest > 0 ? 2 * p.shortest : 1024;
  return {most, most};
}

Result<> ImageModel::classify(std::span<const Picture>, float*) { return fail(Code::Internal, "{} does not classify", info().architecture); }
Result<> ImageModel::detect(const Picture&, std::vector<Detection>*) { return fail(Code::Internal, "{} does not detect objects", info().architecture); }

Result<std::unique_ptr<ImageModel>> load_image_model(const std::string& path, Backend& backend, const LoadOptions& options) {
  VERGE_ASSIGN(file, open_image_file(path));
  VERGE_ASSIGN(architecture, find(*file));
  return architecture->load(*file, backend, options);
}

Result<ImageModelNeed> image_memory_needed(const std::string& path) {
  VERGE_ASSIGN(file, open_image_file(path));
  VERGE_ASSIGN(architecture, find(*file));
  VERGE_ASSIGN(backend, make_cpu_backend({1, ""}));
  VERGE_ASSIGN(need, architecture->need(*file, *backend));
  need.architecture = file->architecture;
  return need;
}

}  // namespace verge::engine
