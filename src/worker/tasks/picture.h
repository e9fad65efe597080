// A request's bytes to a model's input, and a model's scores to what clients get.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/image_model.h"
#include "media/image.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::worker {

struct PreparedPicture {
  media::Image pixels;     // scaled and cropped
  int width = 0, height = 0;  // of the original, upright
  engine::Picture view() const { return {pixels.rgb.data(), pixels.width, pixels.height}; }
};

// Decodes, scales and crops as the model wants it. Errors: InvalidInput, TooLarge (media/image.h).
Result<PreparedPicture> prepare_picture(std::span<const std::byte> bytes, const engine::ImagePreparation& preparation);

// [{"label", "score"}], best first, at most limits::kImageClasses; the scores are a softmax over all classes.
json::array classification_answer(std::span<const float> logits, const std::vector<std::string>& labels);

// [{"label", "score", "box": {"xmin", "ymin", "xmax", "ymax"}}], best first; boxes in whole pixels of the original.
json::array detection_answer(std::vector<engine::Detection> found, const std::vector<std::string>& labels, int width, int height);

}  // namespace verge::worker
