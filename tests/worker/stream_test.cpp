#include "worker/stream.h"

#include <gtest/gtest.h>

#include "tests/worker/fake_model.h"

namespace verge::worker {
namespace {

using testing::ByteTokenizer;

// A SentencePiece-like vocabulary: ids are indices of the pieces; a text's first leading space is dropped.
class PieceTokenizer : public ByteTokenizer {
 public:
  explicit PieceTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  std::string piece(int32_t id, bool = false) const override { return pieces_.at(static_cast<size_t>(id)); }
  std::string decode(const std::vector<int32_t>& ids, bool special = false) const override {
    std::string text;
    for (int32_t id : ids) text += piece(id, special);
    return text.starts_with(' ') ? text.substr(1) : text;
  }

 private:
  std::vector<std::string> pieces_;
};

// Pushes bytes one by one; returns what came out after each and, last, what finish() gave.
std::vector<std::string> stream(std::string_view bytes, std::vector<std::string> stop = {}) {
  static const ByteTokenizer tokenizer;
  TextStream s(tokenizer, std::move(stop), false);
  std::vector<std::string> out;
  for (unsigned char c : bytes) out.push_back(s.push(c));
  out.push_back(s.finish());
  return out;
}
std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& p : parts) out += p;
  return out;
}

TEST(Stream, TextComesWithTheLastByteOfItsCharacter) {
  EXPECT_EQ(stream("a\xC3\xA9"), (std::vector<std::string>{"a", "", "\xC3\xA9", ""}));
  EXPECT_EQ(stream("\xF0\x9F\x98\x80"), (std::vector<std::string>{"", "", "", "\xF0\x9F\x98\x80", ""}));
}

// Promises: T1.
TEST(Stream, BrokenBytesBecomeReplacementCharacters) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(joined(stream("a\xFF" "b")), "a" + r + "b");
  EXPECT_EQ(joined(stream("\xC3(")), r + "(");
  EXPECT_EQ(joined(stream("\xED\xA0\x80")), r + r + r);        // a surrogate
  EXPECT_EQ(joined(stream("\xC0\xAF")), r + r);                // overlong
  EXPECT_EQ(joined(stream("\xF4\x90\x80\x80")), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(joined(stream("\xF0\x9F\x98z")), r + "z");         // maximal part of three bytes
}

// An answer that ends inside a character ends before it: at its length, and beside a stop string
// that did not come.
// Promises: T3.
TEST(Stream, HalfACharacterAtTheEndIsLeftOut) {
  for (std::string_view half : {"\xC3", "\xE4", "\xE4\xBD", "\xF0", "\xF0\x9F", "\xF0\x9F\x98"}) {
    EXPECT_EQ(joined(stream("ab" + std::string(half))), "ab");
    EXPECT_EQ(joined(stream("abST" + std::string(half), {"STOP"})), "abST");
    EXPECT_EQ(joined(stream(half)), "");
  }
}

// Promises: T1.
TEST(Stream, EveryCutOfTheBytesGivesTheSameText) {
  const std::string bytes = "x\xE4\xBD\xA0\xFF\xF0\x9F\x98\x80\xF0\x9Fy";
  const std::string whole = joined(stream(bytes));
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const PieceTokenizer two({bytes.substr(0, cut), bytes.substr(cut)});
    TextStream s(two, {}, false);
    std::string text = s.push(0);
    text += s.push(1);
    text += s.finish();
    EXPECT_EQ(text, whole) << cut;
  }
}

// Promises: T2.
TEST(Stream, HoldsBackTheBeginningOfAStopString) {
  EXPECT_EQ(stream("aSTOPb", {"STOP"}), (std::vector<std::string>{"a", "", "", "", "", "", ""}));
  EXPECT_EQ(stream("aSTORE", {"STOP"}), (std::vector<std::string>{"a", "", "", "", "STOR", "E", ""}));
  EXPECT_EQ(joined(stream("abSTO", {"STOP"})), "abSTO");  // the end sets it free
}

// Promises: T3.
TEST(Stream, OverlappingBeginningsAreKept) {
  EXPECT_EQ(joined(stream("aabaabaac", {"aabaac"})), "aab");
  EXPECT_EQ(joined(stream("ababab!", {"ababx", "b!"})), "ababa");
}

// Promises: T2.
TEST(Stream, TheFirstOfSeveralStopStringsWins) {
  EXPECT_EQ(joined(stream("one two three", {"three", "two"})), "one ");
  EXPECT_EQ(joined(stream("hello", {"hello world", "ell"})), "h");
}

TEST(Stream, AStopStringInsideOnePiece) {
  const PieceTokenizer t({"Hi", " there.\n\nUser", ": x"});
  TextStream s(t, {"\n\nUser:"}, false);
  EXPECT_EQ(s.push(0), "Hi");
  EXPECT_EQ(s.push(1), " there.");
  EXPECT_EQ(s.push(2), "");
  EXPECT_TRUE(s.stopped());
  EXPECT_EQ(s.stop(), "\n\nUser:");
  EXPECT_EQ(s.push(0), "");
  EXPECT_EQ(s.finish(), "");
}

TEST(Stream, TheLeadingSpaceIsDroppedOnlyWhereATextStarts) {
  const PieceTokenizer t({"", " Hello", " world"});
  TextStream answer(t, {}, true);
  EXPECT_EQ(answer.push(0), "");  // a control token gives nothing
  EXPECT_EQ(answer.push(1), "Hello");
  EXPECT_EQ(answer.push(2), " world");
  TextStream continued(t, {}, false);
  EXPECT_EQ(continued.push(1), " Hello");
}

TEST(Stream, ALoneSpacePieceAtTheStartStaysDropped) {
  const PieceTokenizer t({" ", "Hello"});
  TextStream s(t, {}, true);
  EXPECT_EQ(s.push(0), "");
  EXPECT_EQ(s.push(1), "Hello");
}

// Replaying any number of ids and going on gives the rest of the text, byte for byte.
TEST(Stream, AReplayContinuesAtTheExactByte) {
  const ByteTokenizer tokenizer;
  const std::string bytes = "He said \xE2\x80\x9Cno\xE2\x80\x9D, ST \xF0\x9F\x98\x80 STO end";
  std::vector<std::string> parts = stream(bytes, {"STOP", "\xF0\x9F\x98\x81"});
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    TextStream s(tokenizer, {"STOP", "\xF0\x9F\x98\x81"}, false);
    for (size_t i = 0; i < cut; ++i) s.push(static_cast<unsigned char>(bytes[i]));
    for (size_t i = cut; i < bytes.size(); ++i) EXPECT_EQ(s.push(static_cast<unsigned char>(bytes[i])), parts[i]) << cut << " " << i;
    EXPECT_EQ(s.finish(), parts.back());
  }
}

}  // namespace
}  // namespace verge::worker
