// An image model on disk: its configuration, labels, preparation and tensors under their file's own names.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/image_preparation.h"
#include "engine/formats/mapped_file.h"
#include "engine/tensor.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

struct ImageFile {
  std::string path;
  std::string architecture;        // "resnet", "vit", "detr", "efficientnet-lite0"
  std::string task;                // "image-classification", "object-detection"
  bool torch_names = false;        // resnet: torchvision's tensor names, not the hub's
  json::object config;             // config.json; empty for a bare checkpoint
  ImagePreparation preparation;
  std::vector<std::string> labels;  // by class
  std::map<std::string, TensorView, std::less<>> tensors;
  std::vector<std::shared_ptr<MappedFile>> maps;  // keep the views alive
};

// A folder in the hub's layout (config.json, preprocessor_config.json, model.safetensors or pytorch_model.bin), or a bare
// checkpoint of an architecture told from its tensors: EfficientNet-Lite0, torchvision's ResNets; with 1000 classes
// their labels are ImageNet's. Errors: LoadFailed naming file and key or tensor, Io.
Result<std::shared_ptr<ImageFile>> open_image_file(const std::string& path);

// The 1000 classes of ImageNet, short names, as torchvision lists them.
std::vector<std::string> imagenet_labels();

}  // namespace verge::engine
