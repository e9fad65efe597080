// The rules for timestamps, and the three ways to search, on logits that a test writes down.
#include "engine/speech/search.h"

#include <cmath>
#include <limits>
#include <map>

#include "tests/engine/speech/tiny_vocabulary.h"

namespace verge::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void advance(Search& search, float* logits) {
  for (int row = 0; row < search.rows(); ++row) search.consider(row, logits);
  search.choose();
}

struct Rules : testing::Test {
  WhisperTokenizer t = tiny_tokenizer();
  TokenRules rules{&t, true, 50, true};
  std::vector<float> apply(const std::vector<int32_t>& sampled, std::vector<float> logits = {}) {
    if (logits.empty()) logits.assign(static_cast<size_t>(t.vocabulary), 0);
    rules.apply(sampled, logits);
    return logits;
  }
  int32_t stamp(int hundredths) const { return t.first_timestamp + hundredths / 2; }
  bool allowed(const std::vector<float>& scores, int32_t id) const { return scores[static_cast<size_t>(id)] != kNever; }
  double total(const std::vector<float>& scores) const {
    double sum = 0;
    for (float x : scores) sum += std::exp(double{x});
    return sum;
  }
};

TEST_F(Rules, TheFirstTokenIsAnEarlyTimestamp) {
  const auto scores = apply({});
  EXPECT_FALSE(allowed(scores, 'a'));
  EXPECT_FALSE(allowed(scores, t.end));
  EXPECT_TRUE(allowed(scores, stamp(0)));
  EXPECT_TRUE(allowed(scores, stamp(100)));
  EXPECT_FALSE(allowed(scores, stamp(102)));
  EXPECT_NEAR(total(scores), 1, 1e-5);
}

TEST_F(Rules, TimestampsComeInPairsAndNeverGoBack) {
  std::vector<float> words(static_cast<size_t>(t.vocabulary), 0);
  words['a'] = words[static_cast<size_t>(t.end)] = 20;  // likelier than all timestamps together
  auto scores = apply({stamp(0)}, words);
  EXPECT_TRUE(allowed(scores, 'a'));
  EXPECT_FALSE(allowed(scores, stamp(2)));  // the first one counts as a pair
  scores = apply({stamp(0), 'a', stamp(200)}, words);
  EXPECT_FALSE(allowed(scores, 'a'));
  EXPECT_TRUE(allowed(scores, t.end));
  EXPECT_TRUE(allowed(scores, stamp(200)));
  EXPECT_FALSE(allowed(scores, stamp(198)));
  scores = apply({stamp(0), 'a', stamp(200), stamp(200)}, words);
  EXPECT_TRUE(allowed(scores, 'a'));
  EXPECT_FALSE(allowed(scores, stamp(300)));
  scores = apply({stamp(0), 'a', stamp(200), stamp(200), 'a'}, words);
  EXPECT_TRUE(allowed(scores, 'a'));
  EXPECT_FALSE(allowed(scores, stamp(200)));
  EXPECT_TRUE(allowed(scores, stamp(202)));
  EXPECT_NEAR(total(scores), 1, 1e-5);
}

TEST_F(Rules, ManyUnlikelyTimestampsTogetherForceOne) {
  std::vector<float> logits(static_cast<size_t>(t.vocabulary), 0);
  logits['a'] = 3;  // e^3 = 20 against some 1400 timestamps of 1
  const auto scores = apply({stamp(0), 'b'}, logits);
  EXPECT_FALSE(allowed(scores, 'a'));
  EXPECT_TRUE(allowed(scores, stamp(50)));
}

TEST_F(Rules, ControlTokensAndNoiseAreNeverWritten) {
  rules.timestamps = false;
  const auto scores = apply({'b'});
  for (int32_t id : {t.start, t.translate, t.transcribe, t.start_of_previous, t.no_speech, int32_t{'#'}, int32_t{'['}}) EXPECT_FALSE(allowed(scores, id)) << id;
  EXPECT_TRUE(allowed(scores, 'a'));
  EXPECT_TRUE(allowed(scores, t.end));
}

// A little grammar instead of a network: what follows depends on the last token.
Hypothesis run_toy(const WhisperTokenizer& t, Search& search) {
  std::vector<std::vector<int32_t>> rows{{}};
  const auto vocabulary = static_cast<size_t>(t.vocabulary);
  for (int step = 0; step < 100; ++step) {
    std::vector<float> logits(rows.size() * vocabulary, -30);
    for (size_t i = 0; i < rows.size(); ++i) {
      float* row = logits.data() + i * vocabulary;
      // "a" looks best at first, but what follows "b" is certain.
      if (rows[i].empty()) row['a'] = std::log(0.55f), row['b'] = std::log(0.45f);
      else if (rows[i].back() == 'a') row['c'] = std::log(0.4f), row['d'] = std::log(0.35f), row[t.end] = std::log(0.25f);
      else if (rows[i].back() == 'b') row['e'] = 0;
      else row[t.end] = 0;
    }
    advance(search, logits.data());
    if (search.done()) return search.best();
    std::vector<std::vector<int32_t>> next;
    for (const NextRow& row : search.next()) {
      next.push_back(rows[static_cast<size_t>(row.parent)]);
      next.back().push_back(row.token);
    }
    rows = std::move(next);
  }
  ADD_FAILURE() << "no end";
  return {};
}

TEST_F(Rules, GreedyTakesTheBestTokenAndBeamsTheBestText) {
  rules.timestamps = false;
  SearchOptions options;
  options.beams = 1;
  Search greedy(rules, options);
  EXPECT_EQ(run_toy(t, greedy).tokens, (std::vector<int32_t>{'a', 'c'}));
  options.beams = 3;
  Search beams(rules, options);
  const Hypothesis best = run_toy(t, beams);
  EXPECT_EQ(best.tokens, (std::vector<int32_t>{'b', 'e'}));
  EXPECT_NEAR(best.log_probability, std::log(0.45), 1e-3);
}

TEST_F(Rules, SamplingFollowsTheSeedAlone) {
  rules.timestamps = false;
  SearchOptions options;
  options.temperature = 1;
  options.best_of = 1;
  std::map<std::vector<int32_t>, int> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    options.seed = seed;
    Search one(rules, options), again(rules, options);
    const auto first = run_toy(t, one).tokens;
    EXPECT_EQ(first, run_toy(t, again).tokens);
    ++seen[first];
  }
  const int b = seen[std::vector<int32_t>{'b', 'e'}];
  EXPECT_GT(b, 60);  // 45 % of 200
  EXPECT_LT(b, 120);
  EXPECT_GE(seen.size(), 4u);
}

TEST_F(Rules, TheLongestTextEndsASearch) {
  rules.timestamps = false;
  for (int beams : {1, 4}) {
    SearchOptions options;
    options.beams = beams;
    options.max_tokens = 5;
    Search search(rules, options);
    size_t rows = 1;
    for (int steps = 0; steps == 0 || !search.done(); ++steps) {
      ASSERT_LT(steps, 5);
      std::vector<float> logits(rows * static_cast<size_t>(t.vocabulary), -30);
      for (size_t i = 0; i < rows; ++i) logits[i * static_cast<size_t>(t.vocabulary) + 'a'] = 5;
      advance(search, logits.data());
      rows = search.next().size();
    }
    EXPECT_EQ(search.best().tokens, std::vector<int32_t>(5, 'a'));
  }
}

}  // namespace
}  // namespace verge::engine
