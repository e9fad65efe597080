// A request's bytes to a model's input, and a model's scores to the task's result.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/image_model.h"
#include "media/image.h"
#include "protocol/tasks/images.h"
#include "support/error.h"

namespace verge::worker {

struct PreparedPicture {
  media::Image pixels;     // scaled and cropped
  int width = 0, height = 0;  // of the original, upright
  engine::Picture view() const { return {pixels.rgb.data(), pixels.width, pixels.height}; }
};

// Decodes, scales and crops as the model wants it. Errors: InvalidInput, TooLarge (media/image.h).
Result<PreparedPicture> prepare_picture(std::span<const std::byte> bytes, const engine::ImagePreparation& preparation);

// The best limits::kImageClasses; the scores are a softmax over all classes.
protocol::ImageClasses image_classes(std::span<const float> logits, const std::vector<std::string>& labels);

// Boxes in whole pixels of the original.
protocol::FoundObjects found_objects(std::vector<engine::Detection> found, const std::vector<std::string>& labels, int width, int height);

}  // namespace verge::worker
