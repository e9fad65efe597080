// A model that looks at pictures, as the worker sees it: prepared pixels in, scores out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/image_file.h"
#include "engine/model.h"
#include "support/error.h"

namespace verge::engine {

struct ImageModelInfo {
  std::string architecture;
  std::string task;                  // "image-classification", "object-detection"
  std::vector<std::string> labels;   // by class
  ImagePreparation preparation;      // what the pixels must have gone through
  int64_t parameters = 0;
  size_t weight_bytes = 0;
};

// RGB, three bytes a pixel, rows from the top; scaled and cropped as the preparation says, not yet normalised.
struct Picture {
  const uint8_t* rgb = nullptr;
  int width = 0, height = 0;
};

// A place where something was found: corners as fractions of the picture's width and height.
struct Detection {
  int label = 0;
  float score = 0;
  float left = 0, top = 0, right = 0, bottom = 0;
};

class ImageModel {
 public:
  virtual ~ImageModel() = default;
  virtual const ImageModelInfo& info() const = 0;
  // Classifiers: one row of labels.size() logits for each picture. Pictures of equal size go through the network together; a
  // picture's logits have the same bits in any batch. Errors: InvalidInput (a size that the network cannot take).
  virtual Result<> classify(std::span<const Picture> pictures, float* logits);
  // Detectors: all queries' best class and score, in the network's order, "nothing here" left out.
  virtual Result<> detect(const Picture& picture, std::vector<Detection>* found);
};

// Opens, checks, packs. Errors: LoadFailed naming the file and the tensor or key, Io.
Result<std::unique_ptr<ImageModel>> load_image_model(const std::string& path, Backend& backend, const LoadOptions& options);

struct ImageModelNeed {
  size_t weights = 0;
  size_t scratch = 0;  // activations of limits::kPicturesAtOnce pictures
  std::string task;
  std::string architecture;
};
// From headers only.
Result<ImageModelNeed> image_memory_needed(const std::string& path);

}  // namespace verge::engine
