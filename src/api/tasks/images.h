// Image classification and object detection: a picture as raw body or array of bytes in, the published list out.
#pragma once

#include "api/tasks/task.h"

namespace verge::api {

Result<TaskRequest> parse_image(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
// [{label, score}]
Result<json::value> classification_answer(const Answer& answer, const json::object& context);
// [{label, score, box: {xmin, ymin, xmax, ymax}}]
Result<json::value> detection_answer(const Answer& answer, const json::object& context);

inline constexpr TaskHandler kImageClassification{"image-classification", true, parse_image, classification_answer, true};
inline constexpr TaskHandler kObjectDetection{"object-detection", true, parse_image, detection_answer, true};

}  // namespace verge::api
