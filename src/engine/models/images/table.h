// The image architectures: one line here and in table.cpp, one file each.
#pragma once

#include <memory>

#include "engine/formats/image_file.h"
#include "engine/image_model.h"

namespace verge::engine {

// The fields that a file says by itself.
ImageModelInfo image_info(const ImageFile& file);
// Of the prepared picture; the largest where it depends on the picture.
Size input_size(const ImagePreparation& preparation);

Result<std::unique_ptr<ImageModel>> load_resnet(const ImageFile& file, Backend& backend, const LoadOptions& options);
Result<std::unique_ptr<ImageModel>> load_efficientnet(const ImageFile& file, Backend& backend, const LoadOptions& options);
Result<std::unique_ptr<ImageModel>> load_vit(const ImageFile& file, Backend& backend, const LoadOptions& options);
Result<std::unique_ptr<ImageModel>> load_detr(const ImageFile& file, Backend& backend, const LoadOptions& options);
// `backend` is not asked for anything.
Result<ImageModelNeed> resnet_need(const ImageFile& file, Backend& backend);
Result<ImageModelNeed> efficientnet_need(const ImageFile& file, Backend& backend);
Result<ImageModelNeed> vit_need(const ImageFile& file, Backend& backend);
Result<ImageModelNeed> detr_need(const ImageFile& file, Backend& backend);

}  // namespace verge::engine
