// Image classification and object detection: a picture in, one Result out.
//
// Request.payload: the picture's file as it is (media/image.h says which formats). The contract is protocol/tasks/images.h.
#pragma once

#include <memory>

#include "engine/image_model.h"
#include "worker/batch_service.h"

namespace verge::worker {

// Which of the two is told from the model.
std::unique_ptr<SingleShot> make_image_task(std::unique_ptr<engine::Backend> backend, std::unique_ptr<engine::ImageModel> model);

}  // namespace verge::worker
