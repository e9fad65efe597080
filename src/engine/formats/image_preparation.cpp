// Source of the rules: transformers' image processors (models/convnext, vit, detr/image_processing_*.py) and
// image_transforms.py (get_size_with_aspect_ratio, get_resize_output_image_size).
#include "engine/formats/image_preparation.h"

#include <algorithm>
#include <cmath>

#include "support/limits.h"

namespace verge::engine {
namespace {

class Reader {
 public:
  Reader(const json::object& config, const std::string& path) : config_(config), path_(path) {}

  Result<ImagePreparation> read(ImagePreparation p) {
    if (get_bool(config_, "do_resize").value_or(true)) VERGE_TRY(resize(&p));
    else p.resize = ImagePreparation::Resize::None;
    VERGE_TRY(crop(&p));
    VERGE_TRY(values(&p));
    return p;
  }

 private:
  Result<int> side(const json::object& object, std::string_view key) {
    const int64_t value = get_int(object, key).value_or(0);
    if (value < 1 || value > limits::kPreparedSide) return fail(Code::LoadFailed, "{}: '{}' is {}, must be 1 to {}", path_, key, value, limits::kPreparedSide);
    return static_cast<int>(value);
  }

  Result<> resize(ImagePreparation* p) {
    using Resize = ImagePreparation::Resize;
    const int64_t sampling = get_int(config_, "resample").value_or(static_cast<int64_t>(p->sampling));
    if (sampling < 0 || sampling > 5) return fail(Code::LoadFailed, "{}: 'resample' is {}, must be 0 to 5", path_, sampling);
    p->sampling = static_cast<ImagePreparation::Sampling>(sampling);
    const std::string kind = processor();
    if (config_.contains("size")) p->crop_width = p->crop_height = 0;  // the defaults' own crop belongs to their size
    if (get_int(config_, "size")) {  // the older form: one number
      VERGE_ASSIGN(size, side(config_, "size"));
      if (kind.starts_with("Detr")) {
        p->resize = Resize::ShortestEdge;
        p->shortest = size;
        if (get_int(config_, "max_size")) {
          VERGE_ASSIGN(longest, side(config_, "max_size"));
          p->longest = longest;
        }
        return {};
      }
      if (kind.starts_with("ConvNext")) return convnext(p, size);
      const bool square = !kind.starts_with("CLIP") && !kind.starts_with("Bit");
      p->resize = square ? Resize::Exact : Resize::ShortestEdge;
      p->width = p->height = p->shortest = size;
      return {};
    }
    const json::object* size = get_object(config_, "size");
    if (!size) return {};
    if (get_int(*size, "shortest_edge")) {
      VERGE_ASSIGN(shortest, side(*size, "shortest_edge"));
      if (kind.starts_with("ConvNext")) return convnext(p, shortest);
      p->resize = Resize::ShortestEdge;
      p->shortest = shortest;
      p->longest = 0;
      if (get_int(*size, "longest_edge")) {
        VERGE_ASSIGN(longest, side(*size, "longest_edge"));
        p->longest = longest;
      }
      return {};
    }
    VERGE_ASSIGN(width, side(*size, "width"));
    VERGE_ASSIGN(height, side(*size, "height"));
    p->resize = Resize::Exact;
    p->width = width;
    p->height = height;
    return {};
  }

  // Below 384 the shorter side becomes size / crop_pct and the middle is cut out; from there on the picture is warped.
  Result<> convnext(ImagePreparation* p, int size) {
    const double fraction = get_number(config_, "crop_pct").value_or(224.0 / 256);
    if (!(fraction > 0.01 && fraction <= 1)) return fail(Code::LoadFailed, "{}: 'crop_pct' is {}, must be in (0, 1]", path_, fraction);
    if (size >= 384) {
      p->resize = ImagePreparation::Resize::Exact;
      p->width = p->height = size;
      return {};
    }
    p->resize = ImagePreparation::Resize::ShortestEdge;
    p->shortest = static_cast<int>(size / fraction);
    p->longest = 0;
    p->crop_width = p->crop_height = size;
    return {};
  }

  Result<> crop(ImagePreparation* p) {
    if (!get_bool(config_, "do_center_crop").value_or(false)) return {};
    if (get_int(config_, "crop_size")) {
      VERGE_ASSIGN(size, side(config_, "crop_size"));
      p->crop_width = p->crop_height = size;
      return {};
    }
    const json::object* size = get_object(config_, "crop_size");
    if (!size) return fail(Code::LoadFailed, "{}: 'do_center_crop' without 'crop_size'", path_);
    VERGE_ASSIGN(width, side(*size, "width"));
    VERGE_ASSIGN(height, side(*size, "height"));
    p->crop_width = width;
    p->crop_height = height;
    return {};
  }

  Result<> values(ImagePreparation* p) {
    if (!get_bool(config_, "do_rescale").value_or(true)) p->rescale = 1;
    else p->rescale = static_cast<float>(get_number(config_, "rescale_factor").value_or(p->rescale));
    if (!get_bool(config_, "do_normalize").value_or(true)) {
      std::fill_n(p->mean, 3, 0.0f);
      std::fill_n(p->deviation, 3, 1.0f);
      return {};
    }
    VERGE_TRY(three("image_mean", p->mean));
    VERGE_TRY(three("image_std", p->deviation));
    for (float d : p->deviation) {
      if (!(d > 0) || !std::isfinite(d)) return fail(Code::LoadFailed, "{}: 'image_std' must be positive", path_);
    }
    return {};
  }

  Result<> three(std::string_view key, float* to) {
    const json::array* list = get_array(config_, key);
    if (!list) return {};
    if (list->size() != 3) return fail(Code::LoadFailed, "{}: '{}' must hold three numbers", path_, key);
    for (size_t i = 0; i < 3; ++i) {
      if (!(*list)[i].is_number()) return fail(Code::LoadFailed, "{}: '{}' must hold three numbers", path_, key);
      to[i] = static_cast<float>((*list)[i].to_number<double>());
    }
    return {};
  }

  std::string processor() const {
    for (std::string_view key : {"image_processor_type", "feature_extractor_type"}) {
      if (auto name = get_string(config_, key)) return *name;
    }
    return get_number(config_, "crop_pct") ? "ConvNext" : "";
  }

  const json::object& config_;
  const std::string& path_;
};

}  // namespace

Size shortest_edge_size(const ImagePreparation& p, Size picture) {
  const double small = std::min(picture.width, picture.height), large = std::max(picture.width, picture.height);
  double shortest = p.shortest;
  bool bounded = false;
  if (p.longest > 0 && large / small * shortest > p.longest) {
    shortest = p.longest * small / large;
    bounded = true;
  }
  // The bounded size is rounded to nearest even for the shorter side, the longer follows from the unrounded one.
  const int edge = bounded ? static_cast<int>(std::nearbyint(shortest)) : p.shortest;
  const int other = std::max(static_cast<int>((bounded ? shortest : p.shortest) * large / small), 1);
  if (picture.width < picture.height) return {std::max(edge, 1), other};
  if (picture.width > picture.height) return {other, std::max(edge, 1)};
  return {std::max(edge, 1), std::max(edge, 1)};
}

Result<ImagePreparation> read_image_preparation(const json::object& config, const ImagePreparation& defaults, const std::string& path) {
  return Reader(config, path).read(defaults);
}

}  // namespace verge::engine
