// The network, as silero-vad's tinygrad_model.py has it: 64 samples of context and 512 new ones, reflected at the end; a
// short-time Fourier transform as a convolution; four convolutions over its four frames (the second and third halve them); an LSTM
// cell over windows; one output.
#include "engine/speech/vad.h"

#include <algorithm>
#include <cmath>

#include "engine/formats/safetensors.h"

// The weights' file, in the program's read-only data.
__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    "verge_silero_begin:\n"
    ".incbin \"" VERGE_SILERO_FILE "\"\n"
    "verge_silero_end:\n"
    ".balign 64\n"
    ".previous\n");
extern "C" {
extern const std::byte verge_silero_begin[] __attribute__((visibility("hidden")));
extern const std::byte verge_silero_end[] __attribute__((visibility("hidden")));
}

namespace verge::engine {
namespace {

constexpr int kContext = 64, kPad = 64, kFft = 256, kStep = 128, kFrames = 4, kVadBins = 129, kState = 128;
constexpr size_t kPiece = 16384;

// {out, in, 3} turned to {in, 3, out}: the inner loop runs over outputs that lie side by side.
struct Convolution {
  int in = 0, out = 0, stride = 1;
  std::vector<float> weight, bias;

  // x {frames, in} -> y {frames / stride rounded up, out}, ReLU.
  std::vector<float> run(const std::vector<float>& x) const {
    const int frames = static_cast<int>(x.size()) / in, steps = (frames + stride - 1) / stride;
    std::vector<float> y(static_cast<size_t>(steps * out));
    for (int t = 0; t < steps; ++t) {
      float* to = y.data() + static_cast<size_t>(t * out);
      std::copy(bias.begin(), bias.end(), to);
      for (int j = 0; j < 3; ++j) {
        const int from = t * stride + j - 1;
        if (from < 0 || from >= frames) continue;
        for (int c = 0; c < in; ++c) {
          const float value = x[static_cast<size_t>(from * in + c)];
          const float* w = weight.data() + static_cast<size_t>((c * 3 + j) * out);
          for (int o = 0; o < out; ++o) to[o] += value * w[o];
        }
      }
      for (int o = 0; o < out; ++o) to[o] = std::max(to[o], 0.0f);
    }
    return y;
  }
};

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

struct VoiceDetector::Weights {
  std::vector<float> stft;  // {256, 258}
  Convolution conv[4];
  std::vector<float> lstm;  // {256 inputs, 512}
  std::vector<float> lstm_bias, final;
  float final_bias = 0;
};

VoiceDetector::VoiceDetector() = default;
VoiceDetector::~VoiceDetector() = default;
VoiceDetector::VoiceDetector(VoiceDetector&&) noexcept = default;

Result<VoiceDetector> VoiceDetector::make() {
  const std::span<const std::byte> file(verge_silero_begin, static_cast<size_t>(verge_silero_end - verge_silero_begin));
  auto tensors = parse_safetensors(file, "silero_vad_16k.safetensors");
  if (!tensors) return fail(Code::Internal, "{}", tensors.error().message);
  auto weights = std::make_shared<Weights>();
  bool whole = true;
  // {out, in · width} -> {in · width, out}.
  const auto load = [&](const char* name, int64_t out, int64_t in, std::vector<float>* to) {
    const auto it = tensors->find(name);
    if (it == tensors->end() || it->second.elements() != out * in) return void(whole = false);
    std::vector<float> rows(static_cast<size_t>(out * in));
    dequantize(it->second, 0, out * in, rows.data());
    const size_t at = to->size();
    to->resize(at + rows.size());
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) (*to)[at + static_cast<size_t>(i * out + o)] = rows[static_cast<size_t>(o * in + i)];
    }
  };
  load("stft_conv.weight", 2 * kVadBins, kFft, &weights->stft);
  const int sizes[][3] = {{kVadBins, 128, 1}, {128, 64, 2}, {64, 64, 2}, {64, kState, 1}};
  for (int i = 0; i < 4; ++i) {
    Convolution& conv = weights->conv[i];
    conv.in = sizes[i][0];
    conv.out = sizes[i][1];
    conv.stride = sizes[i][2];
    load(fmt::format("conv{}.weight", i + 1).c_str(), conv.out, int64_t{conv.in} * 3, &conv.weight);
    load(fmt::format("conv{}.bias", i + 1).c_str(), conv.out, 1, &conv.bias);
  }
  load("lstm_cell.weight_ih", 4 * kState, kState, &weights->lstm);
  load("lstm_cell.weight_hh", 4 * kState, kState, &weights->lstm);
  std::vector<float> second, last;
  load("lstm_cell.bias_ih", 4 * kState, 1, &weights->lstm_bias);
  load("lstm_cell.bias_hh", 4 * kState, 1, &second);
  load("final_conv.weight", 1, kState, &weights->final);
  load("final_conv.bias", 1, 1, &last);
  if (!whole) return fail(Code::Internal, "silero_vad_16k.safetensors: a tensor is missing or of another shape");
  for (size_t i = 0; i < second.size(); ++i) weights->lstm_bias[i] += second[i];
  weights->final_bias = last[0];
  VoiceDetector detector;
  detector.weights_ = std::move(weights);
  detector.reset();
  return detector;
}

void VoiceDetector::reset() {
  context_.assign(kContext, 0);
  hidden_.assign(kState, 0);
  cell_.assign(kState, 0);
}

float VoiceDetector::probability(std::span<const float> window) {
  std::vector<float> x = context_;
  x.insert(x.end(), window.begin(), window.end());
  for (int i = 0; i < kPad; ++i) x.push_back(x[static_cast<size_t>(kContext + kWindow - 2 - i)]);
  context_.assign(window.end() - kContext, window.end());

  std::vector<float> magnitudes(kFrames * kVadBins);
  for (int t = 0; t < kFrames; ++t) {
    float sums[2 * kVadBins] = {};
    for (int k = 0; k < kFft; ++k) {
      const float value = x[static_cast<size_t>(t * kStep + k)];
      const float* w = weights_->stft.data() + static_cast<size_t>(k) * 2 * kVadBins;
      for (int o = 0; o < 2 * kVadBins; ++o) sums[o] += value * w[o];
    }
    for (int o = 0; o < kVadBins; ++o) magnitudes[static_cast<size_t>(t * kVadBins + o)] = std::sqrt(sums[o] * sums[o] + sums[kVadBins + o] * sums[kVadBins + o]);
  }
  for (const Convolution& conv : weights_->conv) magnitudes = conv.run(magnitudes);

  std::vector<float> gates = weights_->lstm_bias;
  for (size_t i = 0; i < 2 * kState; ++i) {
    const float value = i < kState ? magnitudes[i] : hidden_[i - kState];
    const float* w = weights_->lstm.data() + i * 4 * kState;
    for (size_t o = 0; o < 4 * kState; ++o) gates[o] += value * w[o];
  }
  float out = weights_->final_bias;
  for (size_t i = 0; i < kState; ++i) {  // gates: input, forget, cell, output
    cell_[i] = sigmoid(gates[kState + i]) * cell_[i] + sigmoid(gates[i]) * std::tanh(gates[2 * kState + i]);
    hidden_[i] = sigmoid(gates[3 * kState + i]) * std::tanh(cell_[i]);
    out += std::max(hidden_[i], 0.0f) * weights_->final[i];
  }
  return sigmoid(out);
}

Result<Voice> detect_voice(SampleSource& source, VoiceDetector& detector, const std::function<bool()>& stop, float enough) {
  detector.reset();
  VERGE_TRY(source.rewind());
  Voice voice;
  std::vector<float> pending, piece(kPiece);
  for (;;) {
    if (stop && stop()) return fail(Code::Aborted, "the client left");
    VERGE_ASSIGN(count, source.read(piece.data(), piece.size()));
    voice.samples += static_cast<int64_t>(count);
    pending.insert(pending.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
    if (count == 0 && !pending.empty()) pending.resize((pending.size() + VoiceDetector::kWindow - 1) / VoiceDetector::kWindow * VoiceDetector::kWindow);
    size_t at = 0;
    for (; at + VoiceDetector::kWindow <= pending.size(); at += VoiceDetector::kWindow) {
      voice.probabilities.push_back(detector.probability(std::span<const float>(pending).subspan(at, VoiceDetector::kWindow)));
      if (voice.probabilities.back() >= enough) return voice;
    }
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(at));
    if (count == 0) return voice;
  }
}

std::vector<SampleRange> speech_ranges(std::span<const float> probabilities, int64_t samples, const VoiceOptions& options) {
  const int64_t silence = int64_t{options.min_silence_ms} * kSampleRate / 1000, padding = int64_t{options.padding_ms} * kSampleRate / 1000;
  std::vector<SampleRange> parts;
  bool speaking = false;
  int64_t start = 0, quiet_from = -1;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i) * VoiceDetector::kWindow;
    if (probabilities[i] >= options.threshold) {
      quiet_from = -1;
      if (!speaking) start = at;
      speaking = true;
    } else if (probabilities[i] < options.end_threshold && speaking) {
      if (quiet_from < 0) quiet_from = at;
      if (at - quiet_from < silence) continue;
      if (quiet_from > start) parts.push_back({start, quiet_from});
      speaking = false;
      quiet_from = -1;
    }
  }
  if (speaking && samples > start) parts.push_back({start, samples});
  // Padding, and where two parts' would meet, half of the silence for each.
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i == 0) parts[i].begin = std::max<int64_t>(0, parts[i].begin - padding);
    if (i + 1 == parts.size()) {
      parts[i].end = std::min(samples, parts[i].end + padding);
      continue;
    }
    const int64_t gap = parts[i + 1].begin - parts[i].end, share = gap < 2 * padding ? gap / 2 : padding;
    parts[i].end = std::min(samples, parts[i].end + share);
    parts[i + 1].begin = std::max<int64_t>(0, parts[i + 1].begin - share);
  }
  return parts;
}

RangeTimes::RangeTimes(std::vector<SampleRange> ranges) : ranges_(std::move(ranges)) {
  int64_t heard = 0, skipped = 0, last = 0;
  for (const SampleRange& range : ranges_) {
    heard += range.end - range.begin;
    skipped += range.begin - last;
    last = range.end;
    ends_.push_back(heard);
    skipped_.push_back(skipped);
  }
}

size_t RangeTimes::range_at(double seconds, bool end) const {
  const auto sample = static_cast<int64_t>(seconds * kSampleRate);
  if (end) {
    const auto exact = std::find(ends_.begin(), ends_.end(), sample);
    if (exact != ends_.end()) return static_cast<size_t>(exact - ends_.begin());
  }
  const auto after = std::upper_bound(ends_.begin(), ends_.end(), sample);
  return std::min(static_cast<size_t>(after - ends_.begin()), ends_.empty() ? 0 : ends_.size() - 1);
}

double RangeTimes::original(double seconds, size_t range) const {
  if (skipped_.empty()) return seconds;
  return std::round((seconds + static_cast<double>(skipped_[range]) / kSampleRate) * 100) / 100;
}

}  // namespace verge::engine
