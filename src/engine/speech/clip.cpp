// The end of a clip is padded as faster-whisper does: its mel is that of the samples and one more hop of silence, and
// windows are filled up with frames of zero. (openai/whisper fills up with silent samples instead; texts then differ by a comma
// or so. Ours must not need the whole clip before the first window.)
#include "engine/speech/clip.h"

#include <algorithm>

#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr size_t kPiece = 16384;  // samples read at a time: about a second

}  // namespace

Result<> MemorySamples::rewind() {
  at_ = 0;
  return {};
}

Result<size_t> MemorySamples::read(float* to, size_t most) {
  const size_t count = std::min(most, samples_.size() - at_);
  std::copy_n(samples_.begin() + static_cast<std::ptrdiff_t>(at_), count, to);
  at_ += count;
  return count;
}

Result<> RangedSamples::rewind() {
  range_ = 0;
  at_ = 0;
  return source_.rewind();
}

Result<size_t> RangedSamples::read(float* to, size_t most) {
  while (range_ < ranges_.size()) {
    const SampleRange& range = ranges_[range_];
    if (at_ >= range.end) {
      ++range_;
      continue;
    }
    if (at_ < range.begin) {
      skipped_.resize(kPiece);
      VERGE_ASSIGN(count, source_.read(skipped_.data(), std::min(kPiece, static_cast<size_t>(range.begin - at_))));
      if (count == 0) return size_t{0};
      at_ += static_cast<int64_t>(count);
      continue;
    }
    VERGE_ASSIGN(count, source_.read(to, std::min(most, static_cast<size_t>(range.end - at_))));
    at_ += static_cast<int64_t>(count);
    return count;
  }
  return size_t{0};
}

Clip::Clip(SampleSource& source, std::span<const float> filters) : source_(&source), filters_(filters), mels_(filters.size() / kBins) {}

Result<std::unique_ptr<Clip>> Clip::open(SampleSource& source, std::span<const float> filters, const std::function<bool()>& stop) {
  std::unique_ptr<Clip> clip(new Clip(source, filters));
  VERGE_TRY(source.rewind());
  MelStream mel(filters, [&](const float* row) { clip->largest_ = std::max(clip->largest_, *std::max_element(row, row + clip->mels_)); });
  std::vector<float> piece(kPiece);
  bool keep = true;
  for (;;) {
    if (stop && stop()) return fail(Code::Aborted, "the client left");
    VERGE_ASSIGN(count, source.read(piece.data(), piece.size()));
    if (count == 0) break;
    clip->samples_ += static_cast<int64_t>(count);
    mel.push({piece.data(), count});
    keep = keep && clip->samples_ <= limits::kClipSamplesKept;
    if (keep) clip->kept_.insert(clip->kept_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
    else clip->kept_ = {};
  }
  const std::vector<float> hop(kHop);
  mel.push(hop);
  mel.finish();
  if (keep) {
    clip->memory_ = std::make_unique<MemorySamples>(clip->kept_);
    clip->source_ = clip->memory_.get();
  }
  VERGE_TRY(clip->source_->rewind());
  clip->restart();
  return clip;
}

void Clip::restart() {
  stream_ = std::make_unique<MelStream>(filters_, [this](const float* row) {
    if (next_row_++ < skip_to_) {
      ++first_row_;
      return;
    }
    normalise_mel(rows_.emplace_back(row, row + mels_), largest_);
  });
}

Result<bool> Clip::feed() {
  if (ended_) return false;
  std::vector<float> piece(kPiece);
  VERGE_ASSIGN(count, source_->read(piece.data(), piece.size()));
  if (count > 0) {
    stream_->push({piece.data(), count});
    return true;
  }
  const std::vector<float> hop(kHop);
  stream_->push(hop);
  stream_->finish();
  ended_ = true;
  return true;
}

Result<> Clip::window(int64_t first, int64_t count, float* to) {
  while (first_row_ < first && !rows_.empty()) {
    rows_.pop_front();
    ++first_row_;
  }
  skip_to_ = first;
  for (;;) {
    if (next_row_ >= first + count) break;
    VERGE_ASSIGN(more, feed());
    if (!more) break;
  }
  std::fill_n(to, static_cast<size_t>(count) * mels_, 0.0f);
  const int64_t content = std::min(count, frames() - first);
  for (int64_t i = 0; i < content; ++i) {
    const int64_t at = first + i - first_row_;
    if (at < 0 || at >= static_cast<int64_t>(rows_.size())) break;
    std::copy_n(rows_[static_cast<size_t>(at)].begin(), mels_, to + static_cast<size_t>(i) * mels_);
  }
  return {};
}

}  // namespace verge::engine
