// Searches that share the decoder's steps, on a small random Whisper: each writes what it writes alone.
#include "engine/speech/decoding.h"

#include <algorithm>
#include <numeric>

#include "engine/models/open.h"
#include "engine/speech/hypothesis_pages.h"
#include "support/random.h"
#include "tests/engine/models/harness.h"
#include "tests/engine/speech/tiny_vocabulary.h"

namespace verge::engine {
namespace {

struct Job {
  std::vector<int32_t> prompt;
  SearchOptions options;
  size_t audio = 0;
  int joins = 0;  // at this step
};

// Recognizer::step on a model whose vocabulary has no tokenizer's structure.
void step(Whisper& model, KvCache& cache, std::span<Decoding* const> decodings) {
  std::vector<DecodeRows> rows;
  std::vector<std::pair<int32_t, int32_t>> copies;
  int wanted = 0;
  for (const Decoding* d : decodings) wanted += d->logits();
  std::vector<float> logits(static_cast<size_t>(wanted) * static_cast<size_t>(model.info().vocabulary));
  std::vector<float*> starts;
  float* at = logits.data();
  for (Decoding* d : decodings) {
    starts.push_back(at);
    at += static_cast<int64_t>(d->logits()) * model.info().vocabulary;
    d->append(&rows, &copies);
  }
  model.backend().copy_pages(cache, copies);
  model.decode(rows, cache, logits.data());
  for (size_t i = 0; i < decodings.size(); ++i) {
    for (int row = 0; row < decodings[i]->considered(); ++row) decodings[i]->consider(row, starts[i]);
    decodings[i]->choose();
  }
}

TEST(Decoding, WhatIsWrittenDoesNotDependOnWhoElseIsInTheBatch) {
  auto backend = make_cpu_backend({2, ""});
  ASSERT_TRUE(backend);
  auto file = open_model_file(test_data("speech/small"));
  ASSERT_TRUE(file) << file.error().message;
  auto loaded = load_whisper(*file, **backend, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  Whisper& model = **loaded;
  const WhisperInfo& info = model.info();
  WhisperTokenizer tokenizer = tiny_tokenizer();
  tokenizer.vocabulary = static_cast<int32_t>(info.vocabulary);
  tokenizer.end = static_cast<int32_t>(info.vocabulary) - 1;
  tokenizer.no_speech = 3;
  tokenizer.suppressed.clear();
  tokenizer.suppressed_first.clear();
  TokenRules rules;
  rules.tokenizer = &tokenizer;
  rules.timestamps = false;

  // Two sounds, encoded together and alone.
  const int frames = 2 * info.audio_positions;
  std::vector<std::vector<float>> mels(2);
  for (size_t i = 0; i < 2; ++i) {
    for (int j = 0; j < frames * info.mels; ++j) mels[i].push_back(static_cast<float>(2 * unit_at(i, static_cast<uint64_t>(j)) - 1));
  }
  std::vector<EncodedAudio> audio(2);
  const EncoderWindow both[] = {{mels[0].data(), frames, &audio[0]}, {mels[1].data(), frames, &audio[1]}};
  ASSERT_TRUE(model.encode(both));
  const std::vector<float> together(model.encoder_output().begin(), model.encoder_output().end());
  std::vector<float> apart;
  for (size_t i = 0; i < 2; ++i) {
    EncodedAudio alone;
    const EncoderWindow one[] = {{mels[i].data(), frames, &alone}};
    ASSERT_TRUE(model.encode(one));
    apart.insert(apart.end(), model.encoder_output().begin(), model.encoder_output().end());
  }
  ASSERT_EQ(together, apart);

  std::vector<Job> jobs;
  for (int i = 0; i < 7; ++i) {
    Job job;
    for (int32_t t = 0; t < 1 + 5 * (i % 3); ++t) job.prompt.push_back((7 * t + i) % 40);
    job.options.beams = i % 2 ? 4 : 1;
    job.options.temperature = i % 3 == 2 ? 0.7f : 0;
    job.options.best_of = 3;
    job.options.seed = 5;
    job.options.max_tokens = std::min(10, info.text_positions - static_cast<int>(job.prompt.size()));
    job.audio = static_cast<size_t>(i % 2);
    job.joins = 2 * i;
    jobs.push_back(job);
  }
  const int pages = 400;
  auto cache = model.make_kv_cache(pages, KvType::F16);
  ASSERT_TRUE(cache);
  HypothesisPages pool(pages);
  std::vector<Decoded> alone;
  for (const Job& job : jobs) {
    Decoding decoding(pool, audio[job.audio], job.prompt, 0, rules, job.options);
    Decoding* const one[] = {&decoding};
    while (!decoding.done()) step(model, **cache, one);
    alone.push_back(decoding.result());
    EXPECT_FALSE(alone.back().best.tokens.empty());
  }
  EXPECT_EQ(pool.free(), pages);
  EXPECT_NE(alone[1].best.tokens, alone[0].best.tokens);

  std::vector<std::unique_ptr<Decoding>> running(jobs.size());
  std::vector<bool> ended(jobs.size());
  for (int now = 0; std::ranges::count(ended, true) < static_cast<std::ptrdiff_t>(jobs.size()); ++now) {
    ASSERT_LT(now, 100);
    std::vector<Decoding*> in_step;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (now == jobs[i].joins) running[i] = std::make_unique<Decoding>(pool, audio[jobs[i].audio], jobs[i].prompt, 0, rules, jobs[i].options);
      if (running[i]) in_step.push_back(running[i].get());
    }
    if (in_step.empty()) continue;
    step(model, **cache, in_step);
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (!running[i] || !running[i]->done()) continue;
      const Decoded got = running[i]->result();
      EXPECT_EQ(got.best.tokens, alone[i].best.tokens) << i;
      EXPECT_EQ(got.best.log_probability, alone[i].best.log_probability) << i;
      EXPECT_EQ(got.no_speech_probability, alone[i].no_speech_probability) << i;
      running[i].reset();
      ended[i] = true;
    }
  }
  EXPECT_EQ(pool.free(), pages);
}

TEST(Decoding, OneThatIsGivenUpLeavesNoPages) {
  WhisperTokenizer tokenizer = tiny_tokenizer();
  TokenRules rules;
  rules.tokenizer = &tokenizer;
  HypothesisPages pool(20);
  EncodedAudio audio;
  {
    Decoding decoding(pool, audio, std::vector<int32_t>(70, 1), 69, rules, {});
    std::vector<DecodeRows> rows;
    std::vector<std::pair<int32_t, int32_t>> copies;
    decoding.append(&rows, &copies);
    EXPECT_EQ(pool.free(), 17);
    std::vector<float> logits(static_cast<size_t>(tokenizer.vocabulary));
    decoding.consider(0, logits.data());
    decoding.choose();
    rows.clear();
    decoding.append(&rows, &copies);
    EXPECT_EQ(rows.size(), 5u);
    EXPECT_EQ(copies.size(), 4u);
    EXPECT_EQ(pool.free(), 13);
  }
  EXPECT_EQ(pool.free(), 20);
}

}  // namespace
}  // namespace verge::engine
