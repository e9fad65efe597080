#include "engine/speech/mel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace verge::engine {
namespace {

constexpr int kHalf = kFftSize / 2;
constexpr int kPad = kFftSize / 2;  // reflected at either end

// Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
double mel_to_hz(double mel) {
  constexpr double kLinear = 200.0 / 3, kBreakHz = 1000, kBreakMel = kBreakHz / kLinear;
  const double step = std::log(6.4) / 27;
  return mel < kBreakMel ? mel * kLinear : kBreakHz * std::exp(step * (mel - kBreakMel));
}
double hz_to_mel(double hz) {
  constexpr double kLinear = 200.0 / 3, kBreakHz = 1000, kBreakMel = kBreakHz / kLinear;
  const double step = std::log(6.4) / 27;
  return hz < kBreakHz ? hz / kLinear : kBreakMel + std::log(hz / kBreakHz) / step;
}

}  // namespace

std::vector<float> mel_filters(int mels) {
  constexpr double kHighest = kSampleRate / 2.0;
  std::vector<double> edges(static_cast<size_t>(mels) + 2);
  for (size_t i = 0; i < edges.size(); ++i) edges[i] = mel_to_hz(hz_to_mel(kHighest) * static_cast<double>(i) / static_cast<double>(mels + 1));
  std::vector<float> filters(static_cast<size_t>(mels) * kBins);
  for (size_t m = 0; m < static_cast<size_t>(mels); ++m) {
    const double low = edges[m], peak = edges[m + 1], high = edges[m + 2];
    for (size_t bin = 0; bin < kBins; ++bin) {
      const double hz = static_cast<double>(bin) * kSampleRate / kFftSize;
      const double height = std::min((hz - low) / (peak - low), (high - hz) / (high - peak));
      filters[m * kBins + bin] = static_cast<float>(std::max(0.0, height) * 2 / (high - low));
    }
  }
  return filters;
}

Spectrum::Spectrum() : window_(kFftSize), fft_(kHalf), real_cos_(kHalf + 1), real_sin_(kHalf + 1) {
  const auto angle = [](size_t i, int n) { return 2 * std::numbers::pi * static_cast<double>(i) / n; };
  for (size_t i = 0; i < window_.size(); ++i) window_[i] = static_cast<float>(0.5 - 0.5 * std::cos(angle(i, kFftSize)));
  for (size_t i = 0; i < real_cos_.size(); ++i) {
    real_cos_[i] = static_cast<float>(std::cos(angle(i, kFftSize)));
    real_sin_[i] = static_cast<float>(std::sin(angle(i, kFftSize)));
  }
}

// Two real samples as one complex one: a transform of half the size, from which the spectrum of the even and the odd samples
// is separated and put together.
void Spectrum::power(const float* frame, float* power) const {
  std::array<Complex, kHalf> in, out;
  for (size_t i = 0; i < kHalf; ++i) in[i] = {frame[2 * i] * window_[2 * i], frame[2 * i + 1] * window_[2 * i + 1]};
  fft_.transform(in.data(), out.data());
  for (size_t k = 0; k <= kHalf; ++k) {
    const Complex a = out[k % kHalf], b = out[(kHalf - k) % kHalf];
    const Complex even{(a.re + b.re) / 2, (a.im - b.im) / 2}, odd{(a.im + b.im) / 2, (b.re - a.re) / 2};
    const float re = even.re + odd.re * real_cos_[k] + odd.im * real_sin_[k];
    const float im = even.im + odd.im * real_cos_[k] - odd.re * real_sin_[k];
    power[k] = re * re + im * im;
  }
}

MelStream::MelStream(std::span<const float> filters, std::function<void(const float*)> emit)
    : filters_(filters), mels_(static_cast<int>(filters.size() / kBins)), emit_(std::move(emit)), row_(static_cast<size_t>(mels_)) {
  for (int m = 0; m < mels_; ++m) {
    Range range{kBins, 0};
    for (int bin = 0; bin < kBins; ++bin) {
      if (filters[static_cast<size_t>(m) * kBins + static_cast<size_t>(bin)] == 0) continue;
      range.begin = std::min(range.begin, bin);
      range.end = bin + 1;
    }
    ranges_.push_back(range);
  }
}

void MelStream::frame(const float* samples) {
  std::array<float, kBins> power;
  spectrum_.power(samples, power.data());
  for (size_t m = 0; m < row_.size(); ++m) {
    float sum = 0;
    const float* filter = filters_.data() + m * kBins;
    for (int bin = ranges_[m].begin; bin < ranges_[m].end; ++bin) sum += filter[bin] * power[static_cast<size_t>(bin)];
    row_[m] = std::log10(std::max(sum, 1e-10f));
  }
  ++frames_;
  emit_(row_.data());
}

void MelStream::push(std::span<const float> samples) {
  samples_ += static_cast<int64_t>(samples.size());
  pending_.insert(pending_.end(), samples.begin(), samples.end());
  if (!started_) {
    if (pending_.size() <= kPad) return;
    std::vector<float> reflected(pending_.rend() - kPad - 1, pending_.rend() - 1);
    pending_.insert(pending_.begin(), reflected.begin(), reflected.end());
    started_ = true;
  }
  size_t at = 0;
  for (; at + kFftSize <= pending_.size(); at += kHop) frame(pending_.data() + at);
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(at));
}

void MelStream::finish() {
  if (!started_) {
    const std::vector<float> silence(kPad + 1 - pending_.size());
    push(silence);
  }
  // The last kPad samples are in `pending_`, for a frame of twice as many begins with them at the latest.
  std::vector<float> reflected(pending_.rbegin() + 1, pending_.rbegin() + 1 + kPad);
  pending_.insert(pending_.end(), reflected.begin(), reflected.end());
  const int64_t wanted = samples_ / kHop;  // of samples / hop + 1 frames the last is dropped
  for (size_t at = 0; frames_ < wanted && at + kFftSize <= pending_.size(); at += kHop) frame(pending_.data() + at);
  pending_.clear();
}

void normalise_mel(std::span<float> values, float largest) {
  for (float& value : values) value = (std::max(value, largest - 8) + 4) / 4;
}

}  // namespace verge::engine
