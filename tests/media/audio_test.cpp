// Real clips of every container against the lossless one, and bytes that are none.
#include "media/audio.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include "support/limits.h"
#include "support/random.h"
#include "tests/paths.h"

namespace verge::media {
namespace {

std::string read_file(const std::string& name) {
  std::ifstream in(std::string(verge::test_data_folder()) + "/audio/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<std::vector<float>> decode(const std::string& bytes) {
  VERGE_ASSIGN(decoder, AudioDecoder::open(bytes));
  std::vector<float> samples, piece(1000);
  for (;;) {
    VERGE_ASSIGN(count, decoder->read(piece.data(), piece.size()));
    if (count == 0) return samples;
    samples.insert(samples.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

void put(std::string* to, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

// 16-bit PCM of any rate and number of channels.
std::string wav(const std::vector<int16_t>& samples, uint32_t rate, uint32_t channels) {
  std::string out = "RIFF";
  const auto bytes = static_cast<uint32_t>(samples.size() * 2);
  put(&out, 36 + bytes, 4);
  out += "WAVEfmt ";
  put(&out, 16, 4), put(&out, 1, 2), put(&out, channels, 2), put(&out, rate, 4), put(&out, rate * channels * 2, 4), put(&out, channels * 2, 2), put(&out, 16, 2);
  out += "data";
  put(&out, bytes, 4);
  for (int16_t s : samples) put(&out, static_cast<uint16_t>(s), 2);
  return out;
}

// Largest correlation of two clips over shifts of up to 0.2 s: codecs add or drop a little at the start.
double likeness(const std::vector<float>& a, const std::vector<float>& b) {
  double best = 0;
  for (int shift = -3200; shift <= 3200; shift += 1) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 40000; i < 56000; i += 7) {
      const double x = a[i], y = b[static_cast<size_t>(static_cast<int>(i) + shift)];
      ab += x * y, aa += x * x, bb += y * y;
    }
    best = std::max(best, ab / std::sqrt(aa * bb + 1e-12));
  }
  return best;
}

TEST(Audio, LosslessSamplesAreExact) {
  const std::vector<int16_t> samples = {0, 1, -1, 32767, -32768, 12345, -777};
  auto got = decode(wav(samples, 16000, 1));
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->size(), samples.size());
  for (size_t i = 0; i < samples.size(); ++i) EXPECT_EQ((*got)[i], static_cast<float>(samples[i]) / 32768.0f);
}

TEST(Audio, EveryContainerHasTheSameSpeech) {
  auto reference = decode(read_file("jfk.flac"));
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->size(), 176000u);
  for (const char* name : {"jfk.ogg", "jfk.mp3", "jfk.webm", "jfk.m4a"}) {
    auto clip = decode(read_file(name));
    ASSERT_TRUE(clip) << name << clip.error().message;
    EXPECT_NEAR(static_cast<double>(clip->size()), 176000, 2500) << name;
    EXPECT_GT(likeness(*reference, *clip), 0.9) << name;
  }
}

TEST(Audio, AnyRateAndNumberOfChannels) {
  for (const auto& [rate, channels] : {std::pair{8000u, 1u}, {44100u, 2u}, {48000u, 6u}, {192000u, 1u}, {48000u, 8u}, {16000u, 11u}}) {
    std::vector<int16_t> samples;
    for (uint32_t i = 0; i < rate; ++i) {
      const auto value = static_cast<int16_t>(8000 * std::sin(2 * M_PI * 440 * i / rate));
      samples.insert(samples.end(), channels, value);
    }
    auto clip = decode(wav(samples, rate, channels));
    ASSERT_TRUE(clip) << rate << " " << channels << clip.error().message;
    EXPECT_NEAR(static_cast<double>(clip->size()), 16000, 200) << rate << " " << channels;
    float most = 0;
    for (float x : *clip) most = std::max(most, std::abs(x));
    EXPECT_GT(most, 0.1f) << rate << " " << channels;
    EXPECT_LE(most, 1.0f);
  }
}

TEST(Audio, ASecondPassHasTheSameBits) {
  const std::string bytes = read_file("jfk.ogg");
  auto decoder = AudioDecoder::open(bytes);
  ASSERT_TRUE(decoder);
  std::vector<float> first(50000), second(50000);
  ASSERT_TRUE((*decoder)->read(first.data(), first.size()));
  ASSERT_TRUE((*decoder)->rewind());
  ASSERT_TRUE((*decoder)->read(second.data(), second.size()));
  EXPECT_EQ(first, second);
}

TEST(Audio, ATruncatedClipGivesWhatWasThere) {
  for (const char* name : {"jfk.flac", "jfk.ogg", "jfk.mp3", "jfk.webm"}) {
    const std::string bytes = read_file(name);
    auto clip = decode(bytes.substr(0, bytes.size() / 2));
    ASSERT_TRUE(clip) << name << clip.error().message;
    EXPECT_GT(clip->size(), 40000u) << name;
    EXPECT_LT(clip->size(), 140000u) << name;
  }
}

// What recorders leave that were cut off or wrote to a pipe, and what editors put around a clip:
// FFmpeg reads it.
TEST(Audio, FilesThatAreALittleBroken) {
  const std::vector<int16_t> samples(4001, 12345);
  const std::string whole = wav(samples, 16000, 1);
  const auto with = [&](size_t at, uint32_t value, const std::string& bytes) {
    std::string little;
    put(&little, value, 4);
    return std::string(bytes).replace(at, 4, little);
  };
  const std::string list("LIST\x06\x00\x00\x00INFOxy", 14);
  const std::pair<const char*, std::string> clips[] = {
      {"streamed", with(4, 0xFFFFFFFF, with(40, 0xFFFFFFFF, whole))},
      {"sizes never written", with(4, 0, with(40, 0, whole))},
      {"a wrong RIFF size", with(4, 20, whole)},
      {"a larger data size", with(40, 1 << 20, whole)},
      {"bytes behind the data", whole + "junk"},
      {"a list before the data", std::string(whole).insert(36, list)},
      {"a list behind the data", whole + list},
  };
  for (const auto& [name, bytes] : clips) {
    auto clip = decode(bytes);
    ASSERT_TRUE(clip.ok()) << name << ": " << clip.error().message;
    EXPECT_GE(clip->size(), samples.size()) << name;
    EXPECT_LE(clip->size(), samples.size() + 2) << name;
  }
  const std::string mp3 = read_file("jfk.mp3");
  const size_t usual = decode(mp3)->size();
  Random random(1);
  for (size_t junk : {1, 100, 3000}) {
    std::string bytes;
    while (bytes.size() < junk) bytes.push_back(static_cast<char>(random.below(128)));
    auto clip = decode(bytes + mp3);
    ASSERT_TRUE(clip.ok()) << junk << ": " << clip.error().message;
    EXPECT_NEAR(static_cast<double>(clip->size()), static_cast<double>(usual), 4000) << junk;
  }
}

TEST(Audio, WhatIsNoSoundIsRefused) {
  const std::string m4a = read_file("jfk.m4a");
  const std::vector<std::string> hostile = {"", "x", "RIFF", std::string(1000, '\0'), "{\"audio\":[1,2,3]}", "<html></html>",
                                            "#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "ffconcat version 1.0\nfile /etc/passwd\n",
                                            wav({}, 16000, 1).substr(0, 20), m4a.substr(0, 300)};
  for (const std::string& bytes : hostile) {
    auto clip = decode(bytes);
    if (clip) {
      EXPECT_TRUE(clip->empty()) << bytes.substr(0, 20);
    } else {
      EXPECT_EQ(clip.error().code, Code::InvalidInput) << bytes.substr(0, 20);
    }
  }
}

TEST(Audio, DamagedBytesNeverCrash) {
  for (const char* name : {"jfk.flac", "jfk.ogg", "jfk.mp3", "jfk.webm", "jfk.m4a"}) {
    const std::string whole = read_file(name);
    for (uint64_t seed = 0; seed < 12; ++seed) {
      std::string bytes = whole;
      Random random(seed);
      for (int i = 0; i < 40; ++i) bytes[random.below(i % 2 ? bytes.size() : 600)] = static_cast<char>(random.below(256));
      auto clip = decode(bytes);
      if (clip) {
        EXPECT_LE(clip->size(), size_t{limits::kClipSeconds} * 16000);
      }
    }
  }
}

TEST(Audio, StopsWhenAsked) {
  const std::string bytes = read_file("jfk.mp3");
  auto decoder = AudioDecoder::open(bytes, [] { return true; });
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, Code::Aborted);
}

// Its header tells: nothing is decoded.
TEST(Audio, AClipPastTheLimitOfOneRequestIsRefusedByItsHeader) {
  const auto decoder = AudioDecoder::open(wav(std::vector<int16_t>(1000 * (limits::kClipSeconds + 2)), 1000, 1));
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, Code::TooLarge);
  EXPECT_EQ(decoder.error().limit, limits::kClipSeconds);
}

// A recorder that writes to a pipe leaves the largest lengths that there are: days, in a file of two seconds.
TEST(Audio, ALengthThatTheBytesCannotHaveIsNotBelieved) {
  std::string clip = wav(std::vector<int16_t>(32000, 1000), 16000, 1);
  for (const char* length : {"\xff\xff\xff\x7f", "\x00\xf0\xff\x7f", "\xff\xff\xff\xff"}) {
    clip.replace(40, 4, std::string(length, 4));
    const auto samples = decode(clip);
    ASSERT_TRUE(samples) << samples.error().message;
    EXPECT_NEAR(static_cast<double>(samples->size()), 32000, 100);
  }
}

TEST(Audio, AClipWithoutALengthIsDecodedUpToTheLimitOfOneRequest) {
  std::string clip = wav(std::vector<int16_t>(1000 * (limits::kClipSeconds + 1)), 1000, 1);
  clip.replace(40, 4, "\xff\xff\xff\xff");
  auto decoder = AudioDecoder::open(clip);
  ASSERT_TRUE(decoder) << decoder.error().message;
  std::vector<float> piece(1 << 16);
  int64_t heard = 0;
  for (;;) {
    auto count = (*decoder)->read(piece.data(), piece.size());
    if (!count) {
      EXPECT_EQ(count.error().code, Code::TooLarge);
      EXPECT_EQ(count.error().limit, limits::kClipSeconds);
      break;
    }
    ASSERT_GT(*count, 0u) << "the end came before the limit";
    heard += static_cast<int64_t>(*count);
  }
  EXPECT_GT(heard, int64_t{limits::kClipSeconds - 60} * kAudioRate);
}

}  // namespace
}  // namespace verge::media
