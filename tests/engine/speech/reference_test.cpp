// Mel features, encoder output, decoder logits and cross-attention against transformers (scripts/make_speech_reference.py).
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/models/open.h"
#include "engine/models/whisper/whisper.h"
#include "engine/speech/mel.h"
#include "tests/engine/models/harness.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

std::vector<float> signal(int count) {
  std::vector<float> out;
  int64_t state = 12345;
  for (int i = 0; i < count; ++i) {
    state = (state * 1103515245 + 12345) % (int64_t{1} << 31);
    const double t = i / 16000.0;
    const double tone = 0.5 * std::sin(2 * M_PI * (220 + 900 * t) * t) + 0.2 * std::sin(2 * M_PI * 3100 * t) * std::exp(-3 * t);
    out.push_back(static_cast<float>(tone + 0.01 * (static_cast<double>(state) / (1 << 30) - 1)));
  }
  return out;
}

std::vector<float> flat(const json::value& rows) {
  std::vector<float> out;
  for (const json::value& row : rows.as_array()) {
    for (const json::value& x : row.as_array()) out.push_back(x.to_number<float>());
  }
  return out;
}

TEST(SpeechReference, MelFeatures) {
  const json::value expected = read_json(test_data("speech/mel.json"));
  const auto wave = signal(static_cast<int>(expected.at("samples").as_int64()));
  for (int mels : {80, 128}) {
    const auto filters = mel_filters(mels);
    const auto wanted = flat(expected.at("features").at(std::to_string(mels)));
    for (size_t piece : {size_t{37}, size_t{1000}, wave.size()}) {
      std::vector<float> rows;
      MelStream stream(filters, [&](const float* row) { rows.insert(rows.end(), row, row + mels); });
      for (size_t at = 0; at < wave.size(); at += piece) stream.push(std::span(wave).subspan(at, std::min(piece, wave.size() - at)));
      stream.finish();
      normalise_mel(rows, *std::max_element(rows.begin(), rows.end()));
      ASSERT_EQ(rows.size(), wanted.size());
      for (size_t i = 0; i < rows.size(); ++i) ASSERT_NEAR(rows[i], wanted[i], 2e-4) << i;
    }
  }
}

TEST(SpeechReference, AClipOfOneSampleIsNoTrouble) {
  const auto filters = mel_filters(80);
  MelStream stream(filters, [](const float*) {});
  const float sample[] = {0.5f};
  stream.push(sample);
  stream.finish();
  EXPECT_LE(stream.frames(), 1);
}

double worst(std::span<const float> got, std::span<const float> wanted) {
  EXPECT_EQ(got.size(), wanted.size());
  double most = 0, top = 0;
  for (size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    most = std::max(most, std::abs(double{got[i]} - wanted[i]));
    top = std::max(top, std::abs(double{wanted[i]}));
  }
  return most / top;
}

class SpeechModel : public testing::TestWithParam<const char*> {};

TEST_P(SpeechModel, EncoderAndDecoderAreTransformers) {
  const std::string folder = test_data(std::string("speech/") + GetParam());
  const json::value expected = read_json(folder + "/expected.json");
  const auto mel = flat(expected.at("mel")), wanted = flat(expected.at("logits"));
  const auto ids = numbers<int32_t>(expected.at("ids"));
  const json::value& cross = expected.at("cross_attention");
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    SCOPED_TRACE(isa);
    auto file = open_model_file(folder);
    ASSERT_TRUE(file) << file.error().message;
    auto loaded = load_whisper(*file, **backend, {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    Whisper& model = **loaded;
    EncodedAudio audio;
    const EncoderWindow window[] = {{mel.data(), static_cast<int>(expected.at("mel").as_array().size()), &audio}};
    ASSERT_TRUE(model.encode(window));
    EXPECT_LT(worst(model.encoder_output(), flat(expected.at("encoder"))), 3e-3);

    auto cache = model.make_kv_cache(8, KvType::F32);
    ASSERT_TRUE(cache);
    const std::vector<int32_t> pages = {5, 2};
    std::vector<int32_t> all(ids.size());
    std::iota(all.begin(), all.end(), 0);
    std::vector<float> logits(wanted.size()), scores;
    const AttentionHead head{static_cast<int>(cross.at("layer").as_int64()), static_cast<int>(cross.at("head").as_int64())};
    model.decode_with_scores({ids, 0, pages, &audio, all}, **cache, {&head, 1}, logits.data(), &scores);
    EXPECT_LT(worst(logits, wanted), 4e-3);
    const auto weights = flat(cross.at("weights"));
    ASSERT_EQ(scores.size(), weights.size());
    const size_t frames = scores.size() / ids.size();
    for (size_t row = 0; row < ids.size(); ++row) {
      double total = 0;
      for (size_t f = 0; f < frames; ++f) total += std::exp(scores[row * frames + f]);
      for (size_t f = 0; f < frames; ++f) EXPECT_NEAR(std::exp(scores[row * frames + f]) / total, weights[row * frames + f], 6e-3);
    }
    // A token at a time, two sequences side by side: the same bits.
    const std::vector<int32_t> other = {1, 7};
    const auto vocabulary = static_cast<size_t>(model.info().vocabulary);
    std::vector<float> step(2 * vocabulary);
    const int32_t first[] = {0};
    for (size_t i = 0; i < ids.size(); ++i) {
      const DecodeRows rows[] = {{{&ids[i], 1}, static_cast<int>(i), pages, &audio, first}, {{&ids[i], 1}, static_cast<int>(i), other, &audio, first}};
      model.decode(rows, **cache, step.data());
      EXPECT_TRUE(std::equal(step.begin(), step.begin() + static_cast<std::ptrdiff_t>(vocabulary), logits.begin() + static_cast<std::ptrdiff_t>(i * vocabulary))) << "token " << i;
      EXPECT_TRUE(std::equal(step.begin(), step.begin() + static_cast<std::ptrdiff_t>(vocabulary), step.begin() + static_cast<std::ptrdiff_t>(vocabulary)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, SpeechModel, testing::Values("small", "turbo"));

}  // namespace
}  // namespace verge::engine
