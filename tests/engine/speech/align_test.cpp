#include "engine/speech/align.h"

#include "engine/speech/transcribe.h"
#include "tests/engine/speech/tiny_vocabulary.h"

namespace verge::engine {
namespace {

TEST(Align, WarpFollowsTheDiagonalOfLikeness) {
  // Three tokens said in frames 0-2, 3-4 and 5-7.
  const int of[] = {0, 0, 0, 1, 1, 2, 2, 2};
  std::vector<float> matrix(3 * 8, -1);
  for (int frame = 0; frame < 8; ++frame) matrix[static_cast<size_t>(of[frame] * 8 + frame)] = 1;
  EXPECT_EQ(warp(matrix, 3, 8), (std::vector<int>{0, 3, 5}));
}

TEST(Align, TheMatrixIsNormalisedOverTokensAndSmoothedOverFrames) {
  // A head that looks at frame 4 from row 1 and nowhere in particular from the others.
  const int rows = 3, stride = 12, frames = 9;
  std::vector<float> scores(static_cast<size_t>(rows * stride), 0);
  for (int f = 3; f <= 7; ++f) scores[static_cast<size_t>(stride + f)] = 5;
  for (int f = frames; f < stride; ++f) scores[static_cast<size_t>(2 * stride + f)] = 100;  // past the clip: without influence
  const auto matrix = alignment_matrix(scores, 1, rows, stride, frames);
  EXPECT_GT(matrix[static_cast<size_t>(frames + 5)], 1);
  EXPECT_LT(matrix[5], 0);
  EXPECT_NEAR(matrix[5], matrix[static_cast<size_t>(2 * frames + 5)], 1e-5);
}

WordTime word(const char* text, double start, double end) { return {text, start, end, 0.9, {1}}; }

TEST(Align, PunctuationJoinsItsWordAndLongWordsAreCutAtAPause) {
  SpeechSegment segment;
  segment.seek = 3000;
  segment.start = 30;
  segment.end = 36;
  segment.tokens.assign(5, 1);
  SpeechSegment segments[] = {segment};
  double last = 20;
  // The first word seems to last from the window's start.
  assign_words({word(" Well", 0, 4), word(",", 4, 4.1), word(" it", 4.2, 4.5), word(" works", 4.5, 4.9), word(".", 4.9, 5)}, segments, 100, &last);
  ASSERT_EQ(segments[0].words.size(), 3u);
  EXPECT_EQ(segments[0].words[0].word, " Well,");
  EXPECT_EQ(segments[0].words[2].word, " works.");
  EXPECT_DOUBLE_EQ(segments[0].words[1].start, 34.2);
  EXPECT_GT(segments[0].words[0].start, 33);  // cut to twice the median
  EXPECT_DOUBLE_EQ(segments[0].start, segments[0].words[0].start);
  EXPECT_DOUBLE_EQ(last, segments[0].end);
}

TEST(Align, WordsTakeTheirTokensTimes) {
  const WhisperTokenizer t = tiny_tokenizer();
  const auto text = t.encode("hello world!");
  ASSERT_EQ(text.size(), 3u);
  const std::vector<int> starts = {10, 35, 60, 75};
  const std::vector<float> probabilities = {0.5f, 0.25f, 1};
  const auto words = word_times(t, text, "en", starts, probabilities);
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[1].word, " world");
  EXPECT_DOUBLE_EQ(words[1].start, 0.7);
  EXPECT_DOUBLE_EQ(words[1].end, 1.2);
  EXPECT_DOUBLE_EQ(words[1].probability, 0.25);
}

TEST(Align, RepetitionCompressesWell) {
  std::string repeated;
  for (int i = 0; i < 40; ++i) repeated += "thank you ";
  EXPECT_GT(compression_ratio(repeated), 2.4);
  EXPECT_LT(compression_ratio("And so my fellow Americans, ask not what your country can do for you."), 1.5);
}

}  // namespace
}  // namespace verge::engine
