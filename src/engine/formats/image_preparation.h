// How a picture becomes a model's input: read here, carried out by the worker, which has the pixels.
#pragma once

#include <string>

#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

struct ImagePreparation {
  // Numbered as Pillow's constants, which preprocessor_config.json uses.
  enum class Sampling { Nearest = 0, Lanczos = 1, Bilinear = 2, Bicubic = 3, Box = 4, Hamming = 5 };
  enum class Resize {
    None,
    Exact,         // to width x height, whatever the proportions
    ShortestEdge,  // the shorter side to `shortest`; where the longer would pass `longest`, less
    CropFirst,     // the middle square of crop_fraction of the shorter side is cut out, then scaled to width x height
  };
  Resize resize = Resize::None;
  Sampling sampling = Sampling::Bilinear;
  int width = 0, height = 0;
  int shortest = 0, longest = 0;            // longest 0: no bound
  double crop_fraction = 1;
  int crop_width = 0, crop_height = 0;      // centre crop after the resize; 0 = none
  // value = (byte * rescale - mean) / deviation, by channel.
  float rescale = 1;
  float mean[3] = {0, 0, 0}, deviation[3] = {1, 1, 1};

  bool fixed_size() const { return resize == Resize::Exact || resize == Resize::CropFirst || crop_width > 0; }
  int output_width() const { return crop_width > 0 ? crop_width : width; }    // where fixed_size()
  int output_height() const { return crop_height > 0 ? crop_height : height; }
};

struct Size {
  int width, height;
};
// What ShortestEdge makes of a picture: the hub's rounding (towards zero).
Size shortest_edge_size(const ImagePreparation& preparation, Size picture);

// preprocessor_config.json of the processors of ResNet (ConvNext's), ViT, DETR, DeiT/BiT/CLIP (shortest edge and centre crop).
// An empty object gives `defaults`. Errors: LoadFailed naming `path` and the key.
Result<ImagePreparation> read_image_preparation(const json::object& config, const ImagePreparation& defaults, const std::string& path);

}  // namespace verge::engine
