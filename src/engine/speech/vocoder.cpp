#include "engine/speech/vocoder.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/speech/fft.h"

namespace verge::engine {
namespace {

constexpr int kSize = 1200, kBins = kSize / 2 + 1, kPerFrame = kSize / kVoiceHop;
constexpr float kVoiced = 40, kHighest = 11000;  // Hz: of the pitch, of the pulses' harmonics
constexpr float kLoudest = 7;                    // of a log magnitude
constexpr double kTurn = 2 * std::numbers::pi;
static_assert(kBins == kVoiceBins);

std::vector<float> hann() {
  std::vector<float> window(kSize);
  for (size_t i = 0; i < window.size(); ++i) {
    window[i] = static_cast<float>(0.5 - 0.5 * std::cos(kTurn * static_cast<double>(i) / kSize));
  }
  return window;
}

// All harmonics below kHighest at amplitude 1: sum of cos(h t) for h up to H is
// sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2. Silent where there is no voice.
std::vector<float> pulses(const std::vector<float>& pitch) {
  const auto frames = static_cast<int>(pitch.size());
  std::vector<float> out(pitch.size() * kVoiceHop);
  const auto at = [&](int frame) { return pitch[static_cast<size_t>(std::clamp(frame, 0, frames - 1))]; };
  double cycles = 0;
  for (int frame = 0; frame < frames; ++frame) {
    for (int j = 0; j < kVoiceHop; ++j) {
      // The pitch belongs to the middle of its frame.
      const double place = (j + 0.5) / kVoiceHop - 0.5;
      const float u = static_cast<float>(place < 0 ? place + 1 : place);
      const int left = place < 0 ? frame - 1 : frame;
      const float f = at(left) * (1 - u) + at(left + 1) * u;
      const float hz = std::max(f, kVoiced);
      cycles += hz;
      if (!(f > kVoiced)) continue;
      const float t = static_cast<float>(kTurn * std::fmod(cycles / kVoiceRate, 1.0));
      const float order = std::floor(kHighest / hz) + 0.5f;
      const float below = 2 * std::sin(t * 0.5f);
      const float sum = std::fabs(below) <= 2e-3f ? order : std::sin(order * t) / below;
      out[static_cast<size_t>(frame * kVoiceHop + j)] = sum - 0.5f;
    }
  }
  return out;
}

// Two independent normal values. The generator is SplitMix64's mixing of a counter.
Complex normal_pair(uint64_t seed, uint64_t place) {
  uint64_t z = seed + (place + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  const float u = (static_cast<float>(z >> 40) + 0.5f) * 0x1p-24f;
  const float v = static_cast<float>(z & 0xffffff) * 0x1p-24f;
  const float radius = std::sqrt(-2 * std::log(u)), angle = static_cast<float>(kTurn) * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

float magnitude(float log) { return std::exp(std::min(log, kLoudest)); }

// The real samples of a spectrum's half: two of them are one complex number.
class Inverse {
 public:
  Inverse() : fft_(kSize / 2), twiddles_(kSize / 2), in_(kSize / 2), out_(kSize / 2) {
    for (size_t k = 0; k < twiddles_.size(); ++k) {
      const double angle = kTurn * static_cast<double>(k) / kSize;
      twiddles_[k] = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    }
  }
  void run(const Complex* bins, float* samples) {
    constexpr size_t half = kSize / 2;
    for (size_t k = 0; k < half; ++k) {
      Complex a = bins[k], b = bins[half - k];
      if (k == 0) a.im = b.im = 0;  // of the lowest and the highest bin only the real part counts
      const Complex even{a.re + b.re, a.im - b.im}, d{a.re - b.re, a.im + b.im};
      const Complex w = twiddles_[k];
      const Complex odd{d.re * w.re - d.im * w.im, d.re * w.im + d.im * w.re};
      // Conjugated, for the transform goes the other way.
      in_[k] = {even.re - odd.im, -(even.im + odd.re)};
    }
    fft_.transform(in_.data(), out_.data());
    for (size_t i = 0; i < half; ++i) {
      samples[2 * i] = out_[i].re / kSize;
      samples[2 * i + 1] = -out_[i].im / kSize;
    }
  }
  // The half of a real frame's spectrum.
  void forward(const float* samples, Complex* bins) {
    constexpr size_t half = kSize / 2;
    for (size_t i = 0; i < half; ++i) in_[i] = {samples[2 * i], samples[2 * i + 1]};
    fft_.transform(in_.data(), out_.data());
    for (size_t k = 0; k <= half; ++k) {
      const Complex a = out_[k % half], b = out_[(half - k) % half];
      const Complex even{(a.re + b.re) / 2, (a.im - b.im) / 2};
      const Complex odd{(a.im + b.im) / 2, (b.re - a.re) / 2};
      const Complex w = k == half ? Complex{-1, 0} : Complex{twiddles_[k].re, -twiddles_[k].im};
      bins[k] = {even.re + odd.re * w.re - odd.im * w.im, even.im + odd.re * w.im + odd.im * w.re};
    }
  }

 private:
  Fft fft_;
  std::vector<Complex> twiddles_, in_, out_;
};

}  // namespace

std::vector<float> vocode(const VoiceFrames& voice, uint64_t seed) {
  const int frames = voice.frames;
  if (frames == 0) return {};
  const std::vector<float> window = hann(), train = pulses(voice.pitch);
  const auto length = static_cast<int>(train.size());
  // Frame f is centred on sample f * hop; what lies outside is reflected.
  const auto sample = [&](int i) {
    const int period = std::max(2 * (length - 1), 1);
    i = ((i % period) + period) % period;
    return train[static_cast<size_t>(i < length ? i : period - i)];
  };
  std::vector<float> sum(static_cast<size_t>(length + kSize)), weight(sum.size());
  std::vector<float> frame(kSize);
  std::vector<Complex> bins(kBins);
  Inverse transform;
  constexpr float kUnit = kSize / 4.0f;  // a cosine of amplitude 1 has a peak of 1
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < kSize; ++i) {
      frame[static_cast<size_t>(i)] =
          sample(f * kVoiceHop + i - kSize / 2) * window[static_cast<size_t>(i)] / kUnit;
    }
    transform.forward(frame.data(), bins.data());
    const float* part = voice.spectra.data() + static_cast<size_t>(f) * kVoiceParts * kBins;
    for (size_t k = 0; k < kBins; ++k) {
      const float loud = magnitude(part[k]);
      const float turn = static_cast<float>(std::numbers::pi) * std::tanh(part[kBins + k]);
      const Complex filter{loud * std::cos(turn), loud * std::sin(turn)};
      const Complex x = bins[k];
      Complex y{x.re * filter.re - x.im * filter.im, x.re * filter.im + x.im * filter.re};
      const Complex noise = normal_pair(seed, static_cast<uint64_t>(f) * kBins + k);
      const float noisy = magnitude(part[2 * kBins + k]);
      const float free = magnitude(part[3 * kBins + k]), phase = part[4 * kBins + k];
      y.re += noisy * noise.re + free * std::cos(phase);
      y.im += noisy * noise.im + free * std::sin(phase);
      bins[k] = y;
    }
    transform.run(bins.data(), frame.data());
    float* to = sum.data() + f * kVoiceHop;
    float* norm = weight.data() + f * kVoiceHop;
    for (size_t i = 0; i < kSize; ++i) {
      to[i] += frame[i] * window[i];
      norm[i] += window[i] * window[i];
    }
  }
  std::vector<float> out(static_cast<size_t>(length));
  for (size_t i = 0; i < out.size(); ++i) {
    const float value = sum[i + kSize / 2] / std::max(weight[i + kSize / 2], 1e-11f);
    out[i] = std::isfinite(value) ? std::clamp(value, -1.0f, 1.0f) : 0;
  }
  return out;
}

}  // namespace verge::engine
