// Image classification and object detection: a picture as raw body or array of bytes in, the published list out.
#pragma once

#include "api/tasks/task.h"

namespace verge::api {

Result<TaskRequest> parse_image(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
// worker/tasks/images.h gives the published list already.
json::value image_answer(const Answer& answer, const json::object& context);

inline constexpr TaskHandler kImageClassification{"image-classification", true, parse_image, image_answer, true};
inline constexpr TaskHandler kObjectDetection{"object-detection", true, parse_image, image_answer, true};

}  // namespace verge::api
