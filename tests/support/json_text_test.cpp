// Text that JSON.stringify and editors write and that a strict parser trips over.
#include <gtest/gtest.h>

#include "support/json.h"
#include "support/utf8.h"

namespace verge {
namespace {

std::string value_of(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text << ": " << (value ? "" : value.error().message);
  return value && value->is_string() ? std::string(value->get_string()) : "";
}

TEST(JsonText, HalvesOfSurrogatePairsBecomeTheReplacementCharacter) {
  EXPECT_EQ(value_of(R"("nice \ud83d")"), "nice \uFFFD");
  EXPECT_EQ(value_of(R"("\ud83dx")"), "\uFFFDx");
  EXPECT_EQ(value_of(R"("\uDE00")"), "\uFFFD");
  EXPECT_EQ(value_of(R"("\ude00\ud83d")"), "\uFFFD\uFFFD");
  EXPECT_EQ(value_of(R"("\ud83d\ud83d\ude00")"), "\uFFFD\U0001F600");
  EXPECT_EQ(value_of(R"("\ud83d\n")"), "\uFFFD\n");
  EXPECT_EQ(value_of(R"("\ud83d\u0041")"), "\uFFFDA");
  EXPECT_EQ(value_of(R"("\uD83D\uDE00")"), "\U0001F600");
  EXPECT_EQ(value_of(R"("\\ud83d")"), "\\ud83d");
  EXPECT_EQ(value_of(R"("\\\ud83d")"), "\\\uFFFD");
  auto keys = parse_json(R"({"a\ud83d":{"\udc00":["\udfff"]}})");
  ASSERT_TRUE(keys);
  EXPECT_EQ(json::serialize(*keys), "{\"a\uFFFD\":{\"\uFFFD\":[\"\uFFFD\"]}}");
  for (const char* broken : {R"("\ud8")", R"("\ud83d)", R"("\u)", R"("\ud83dg" x)", R"({"\ud83d":})"}) EXPECT_FALSE(parse_json(broken)) << broken;
}

TEST(JsonText, SaysWhyItCannotBeRead) {
  EXPECT_NE(parse_json("\xEF\xBB\xBF{}").error().message.find("byte order mark"), std::string::npos);
  EXPECT_NE(parse_json("{\"a\":\"caf\xE9\"}").error().message.find("not UTF-8 at byte 9"), std::string::npos);
  EXPECT_NE(parse_json("{\"a\":\"\xED\xA0\xBD\"}").error().message.find("not UTF-8 at byte 6"), std::string::npos);
  EXPECT_EQ(parse_json("{\"a\":\"\xC3\xA9\"").error().message.find("UTF-8"), std::string::npos);
}

TEST(Utf8, FindsTheFirstByteThatIsNone) {
  EXPECT_EQ(first_invalid_utf8(""), std::string_view::npos);
  EXPECT_EQ(first_invalid_utf8("h\u00e9\u20ac\U0001F600"), std::string_view::npos);
  EXPECT_EQ(first_invalid_utf8("a\x80"), 1u);
  EXPECT_EQ(first_invalid_utf8("ab\xE2\x82"), 2u);
}

}  // namespace
}  // namespace verge
