#include "engine/formats/image_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "engine/formats/file_access.h"
#include "engine/formats/hub_files.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/torch_checkpoint.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

struct Family {
  const char* model_type;  // of config.json
  const char* task;
};
constexpr Family kFamilies[] = {{"resnet", "image-classification"}, {"vit", "image-classification"}, {"detr", "object-detection"}};

const Family* family_of(const json::object& config) {
  const auto type = get_string(config, "model_type");
  for (const Family& family : kFamilies) {
    if (type && *type == family.model_type) return &family;
  }
  return nullptr;
}

bool has_checkpoint_name(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".pth" || extension == ".pt" || extension == ".th" || path.filename() == "pytorch_model.bin";
}

// The one checkpoint of a folder without a config.json.
std::optional<fs::path> lone_checkpoint(const fs::path& folder) {
  std::optional<fs::path> found;
  for (const fs::path& path : files_in(folder)) {
    if (!has_checkpoint_name(path)) continue;
    if (found) return std::nullopt;
    found = path;
  }
  return found;
}

Result<> open_tensors(const fs::path& path, ImageFile* file) {
  VERGE_ASSIGN(map, MappedFile::open(path.string()));
  file->maps.push_back(map);
  if (is_torch_checkpoint(map->bytes())) {
    VERGE_ASSIGN(tensors, parse_torch_checkpoint(map->bytes(), path.string(), &file->maps));
    file->tensors = std::move(tensors);
  } else {
    VERGE_ASSIGN(tensors, parse_safetensors(map->bytes(), path.string()));
    file->tensors = std::move(tensors);
  }
  return {};
}

// "id2label": {"0": "name", …}, every class once.
Result<std::vector<std::string>> read_labels(const json::object& config, const std::string& path) {
  const json::object* table = get_object(config, "id2label");
  if (!table || table->empty()) return fail(Code::LoadFailed, "{}: no 'id2label'", path);
  if (table->size() > limits::kImageLabels) return fail(Code::LoadFailed, "{}: {} labels, limit {}", path, table->size(), limits::kImageLabels);
  std::vector<std::string> labels(table->size());
  std::vector<bool> seen(table->size());
  for (const auto& entry : *table) {
    const std::string key(entry.key());
    const bool number = !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos;
    const size_t index = number ? std::stoul(key) : labels.size();
    if (index >= labels.size() || seen[index] || !entry.value().is_string()) return fail(Code::LoadFailed, "{}: 'id2label' must name the classes 0 to {}", path, labels.size() - 1);
    labels[index] = std::string(entry.value().get_string());
    seen[index] = true;
  }
  return labels;
}

// What the processor class fills in where preprocessor_config.json is silent or missing.
ImagePreparation defaults_of(std::string_view architecture, const json::object& config) {
  ImagePreparation p;
  p.rescale = 1.0f / 255;
  const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
  std::copy_n(mean, 3, p.mean);
  std::copy_n(deviation, 3, p.deviation);
  if (architecture == "detr") {
    p.resize = ImagePreparation::Resize::ShortestEdge;
    p.shortest = 800;
    p.longest = 1333;
    return p;
  }
  if (architecture == "vit") {
    std::fill_n(p.mean, 3, 0.5f);
    std::fill_n(p.deviation, 3, 0.5f);
    p.resize = ImagePreparation::Resize::Exact;
    p.width = p.height = static_cast<int>(std::clamp<int64_t>(get_int(config, "image_size").value_or(224), 1, limits::kPreparedSide));
    return p;
  }
  p.resize = ImagePreparation::Resize::ShortestEdge;
  p.sampling = ImagePreparation::Sampling::Bicubic;
  p.shortest = 256;
  p.crop_width = p.crop_height = 224;
  return p;
}

Result<std::shared_ptr<ImageFile>> open_folder(const fs::path& folder) {
  auto file = std::make_shared<ImageFile>();
  file->path = folder.string();
  const std::string config_path = (folder / "config.json").string(), preparation_path = (folder / "preprocessor_config.json").string();
  VERGE_ASSIGN(config, read_object(config_path, limits::kConfigJsonBytes, false));
  file->config = std::move(config);
  const Family* family = family_of(file->config);
  if (!family) return fail(Code::LoadFailed, "{}: 'model_type' is no image model's: resnet, vit and detr are supported", config_path);
  file->architecture = family->model_type;
  file->task = family->task;
  VERGE_ASSIGN(labels, read_labels(file->config, config_path));
  file->labels = std::move(labels);
  VERGE_ASSIGN(settings, read_object(preparation_path, limits::kConfigJsonBytes, false));
  VERGE_ASSIGN(preparation, read_image_preparation(settings, defaults_of(file->architecture, file->config), preparation_path));
  file->preparation = preparation;
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    if (!file_exists(folder / name)) continue;
    VERGE_TRY(open_tensors(folder / name, file.get()));
    return file;
  }
  return fail(Code::LoadFailed, "{}: neither model.safetensors nor pytorch_model.bin", folder.string());
}

Result<std::shared_ptr<ImageFile>> open_checkpoint(const fs::path& path) {
  auto file = std::make_shared<ImageFile>();
  file->path = path.string();
  file->task = "image-classification";
  VERGE_TRY(open_tensors(path, file.get()));
  const auto rows = [&](std::string_view name) {
    const auto found = file->tensors.find(name);
    return found == file->tensors.end() ? int64_t{0} : found->second.rows();
  };
  int64_t classes = 0;
  if (file->tensors.contains("_conv_stem.weight")) {
    file->architecture = "efficientnet-lite0";
    classes = rows("_fc.weight");
    // The middle 87.5 % bicubic to 224, (byte - 127) / 128, as TensorFlow's own code for these models does.
    ImagePreparation& p = file->preparation;
    p.resize = ImagePreparation::Resize::CropFirst;
    p.sampling = ImagePreparation::Sampling::Bicubic;
    p.width = p.height = 224;
    p.crop_fraction = 0.875;
    std::fill_n(p.mean, 3, 127.0f);
    std::fill_n(p.deviation, 3, 128.0f);
  } else if (file->tensors.contains("layer1.0.conv1.weight") && file->tensors.contains("fc.weight")) {
    file->architecture = "resnet";
    file->torch_names = true;
    classes = rows("fc.weight");
    file->preparation = defaults_of("resnet", file->config);
    file->preparation.sampling = ImagePreparation::Sampling::Bilinear;  // torchvision's weights were made with it
  } else {
    return fail(Code::LoadFailed, "{}: neither EfficientNet-Lite0 nor one of torchvision's ResNets; other models need their config.json beside them", file->path);
  }
  if (classes < 1 || classes > static_cast<int64_t>(limits::kImageLabels)) return fail(Code::LoadFailed, "{}: {} classes, limit {}", file->path, classes, limits::kImageLabels);
  if (classes == 1000) file->labels = imagenet_labels();
  for (int64_t i = static_cast<int64_t>(file->labels.size()); i < classes; ++i) file->labels.push_back(fmt::format("LABEL_{}", i));
  return file;
}

}  // namespace

Result<std::shared_ptr<ImageFile>> open_image_file(const std::string& path) {
  if (!is_folder(path)) return open_checkpoint(path);
  if (file_exists(fs::path(path) / "config.json")) return open_folder(path);
  const auto checkpoint = lone_checkpoint(path);
  if (!checkpoint) return fail(Code::LoadFailed, "{}: neither config.json nor exactly one torch checkpoint", path);
  return open_checkpoint(*checkpoint);
}

}  // namespace verge::engine
