// What is encoded is decoded again, by the decoder that clients' clips go through.
#include "media/audio_encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "media/audio.h"

namespace verge::media {
namespace {

constexpr int kRate = 24000;

std::vector<float> tone(double seconds) {
  std::vector<float> samples(static_cast<size_t>(seconds * kRate));
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] = 0.5f * static_cast<float>(std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / kRate));
  }
  return samples;
}

std::string encoded(const SoundFormat& format) {
  auto encoder = AudioEncoder::open(format, kRate);
  EXPECT_TRUE(encoder) << (encoder ? "" : encoder.error().message);
  std::string file;
  const std::vector<float> samples = tone(0.7);
  for (int i = 0; i < 2; ++i) file += (*encoder)->push(samples).value();
  return file + (*encoder)->finish().value();
}

class Formats : public testing::TestWithParam<SoundFormat> {};

TEST_P(Formats, AreDecodedAgain) {
  const std::string file = encoded(GetParam());
  EXPECT_EQ(file, encoded(GetParam())) << "the same samples make the same bytes";
  auto decoder = AudioDecoder::open(file);
  ASSERT_TRUE(decoder) << decoder.error().message;
  std::vector<float> samples(5 * kAudioRate);
  size_t count = 0;
  for (size_t n; (n = (*decoder)->read(samples.data() + count, samples.size() - count).value()) > 0;) count += n;
  EXPECT_NEAR(static_cast<double>(count) / kAudioRate, 1.4, 0.15);
  double energy = 0;
  for (size_t i = 0; i < count; ++i) energy += static_cast<double>(samples[i]) * samples[i];
  EXPECT_NEAR(std::sqrt(energy / static_cast<double>(count)), 0.35, 0.05);
}

INSTANTIATE_TEST_SUITE_P(All, Formats,
                         testing::Values(SoundFormat{"linear16", true, 24000, 0}, SoundFormat{"linear16", true, 8000, 0}, SoundFormat{"mulaw", true, 8000, 0},
                                         SoundFormat{"alaw", true, 16000, 0}, SoundFormat{"flac", false, 24000, 0}, SoundFormat{"mp3", false, 22050, 48000},
                                         SoundFormat{"opus", false, 48000, 24000}, SoundFormat{"aac", false, 22050, 48000}),
                         [](const auto& one) { return one.param.encoding + std::to_string(one.param.sample_rate); });

TEST(AudioEncoder, SamplesAloneHaveNoHeader) {
  EXPECT_EQ(encoded({"linear16", false, 24000, 0}).size(), 2u * 2 * 16800);
  EXPECT_NEAR(static_cast<double>(encoded({"mulaw", false, 8000, 0}).size()), 11200, 50);
}

TEST(AudioEncoder, WhatThereIsNotIsRefused) {
  EXPECT_EQ(AudioEncoder::open({"mp4", false, 24000, 0}, kRate).error().code, Code::InvalidInput);
  EXPECT_EQ(AudioEncoder::open({"opus", false, 22050, 24000}, kRate).error().code, Code::InvalidInput);
}

}  // namespace
}  // namespace verge::media
