#include "worker/tasks/picture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "media/resize.h"
#include "support/limits.h"

namespace verge::worker {
namespace {

using engine::ImagePreparation;

media::Filter filter_of(ImagePreparation::Sampling sampling) {
  switch (sampling) {
    case ImagePreparation::Sampling::Nearest: return media::Filter::Nearest;
    case ImagePreparation::Sampling::Lanczos: return media::Filter::Lanczos;
    case ImagePreparation::Sampling::Bilinear: return media::Filter::Bilinear;
    case ImagePreparation::Sampling::Bicubic: return media::Filter::Bicubic;
    case ImagePreparation::Sampling::Box: return media::Filter::Box;
    case ImagePreparation::Sampling::Hamming: return media::Filter::Hamming;
  }
  return media::Filter::Bilinear;
}

// A picture a thousand times as long as it is wide would become an image of many megapixels when its short side grows.
Result<> check_scaled(engine::Size size) {
  if (int64_t{size.width} * size.height <= limits::kScaledPixels) return {};
  return fail(Code::InvalidInput, "the image is too long and narrow: scaled for this model it has {} x {} pixels", size.width, size.height);
}

Result<media::Image> scale(media::Image image, const ImagePreparation& p) {
  const media::Filter filter = filter_of(p.sampling);
  switch (p.resize) {
    case ImagePreparation::Resize::None:
      VERGE_TRY(check_scaled({image.width, image.height}));
      return image;
    case ImagePreparation::Resize::Exact: return media::resize(image, p.width, p.height, filter);
    case ImagePreparation::Resize::ShortestEdge: {
      const engine::Size size = shortest_edge_size(p, {image.width, image.height});
      VERGE_TRY(check_scaled(size));
      return media::resize(image, size.width, size.height, filter);
    }
    case ImagePreparation::Resize::CropFirst: {
      const int side = std::max(static_cast<int>(std::min(image.width, image.height) * p.crop_fraction), 1);
      // An odd margin is larger above and to the left.
      const media::Image middle = media::crop(image, (image.width - side + 1) / 2, (image.height - side + 1) / 2, side, side);
      return media::resize(middle, p.width, p.height, filter);
    }
  }
  return image;
}

}  // namespace

Result<PreparedPicture> prepare_picture(std::span<const std::byte> bytes, const ImagePreparation& p) {
  VERGE_ASSIGN(image, media::decode_image(bytes));
  PreparedPicture prepared;
  prepared.width = image.width;
  prepared.height = image.height;
  VERGE_ASSIGN(scaled, scale(std::move(image), p));
  prepared.pixels = p.crop_width > 0 ? media::centre_crop(scaled, p.crop_width, p.crop_height) : std::move(scaled);
  return prepared;
}

protocol::ImageClasses image_classes(std::span<const float> logits, const std::vector<std::string>& labels) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t count = std::min<size_t>(order.size(), limits::kImageClasses);
  // Equal scores keep the classes' order.
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](size_t a, size_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - logits[order[0]]);
  protocol::ImageClasses answer;
  for (size_t i = 0; i < count; ++i) {
    const double score = std::exp(static_cast<double>(logits[order[i]]) - logits[order[0]]) / sum;
    answer.classes.push_back({labels[order[i]], score});
  }
  return answer;
}

protocol::FoundObjects found_objects(std::vector<engine::Detection> found, const std::vector<std::string>& labels, int width, int height) {
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  // Towards zero, as the reference pipeline does; a box may reach past the edge by what the network is wrong.
  const auto pixels = [](float fraction, int side) { return static_cast<int64_t>(fraction * static_cast<float>(side)); };
  protocol::FoundObjects answer;
  for (const engine::Detection& d : found)
    answer.objects.push_back({labels[static_cast<size_t>(d.label)], d.score, pixels(d.left, width), pixels(d.top, height), pixels(d.right, width), pixels(d.bottom, height)});
  return answer;
}

}  // namespace verge::worker
