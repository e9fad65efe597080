#include "engine/tokenizers/unicode.h"
#include "support/utf8.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

TEST(Unicode, EveryCodePointComesBack) {
  for (char32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point >= 0xD800 && point <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, point);
    CodePoint read = code_point_at(text, 0);
    ASSERT_TRUE(read.valid && read.value == point && read.length == text.size()) << static_cast<uint32_t>(point);
  }
}

TEST(Unicode, MalformedSequencesTakeOneByte) {
  for (std::string_view text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE2\x82", "\xED\xA0\x80",
                                "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CodePoint point = code_point_at(text, 0);
    EXPECT_FALSE(point.valid) << text;
    EXPECT_EQ(point.length, 1u);
    EXPECT_EQ(first_invalid_utf8(text), 0u);
  }
  EXPECT_EQ(lossy_utf8("a\xFF"
                          "b"),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalize_unicode("e\xCC\x81", NormalForm::C), "\xC3\xA9");
  EXPECT_EQ(normalize_unicode("\xC3\xA9", NormalForm::D), "e\xCC\x81");
  EXPECT_EQ(normalize_unicode("\xEF\xAC\x81\xC2\xBD", NormalForm::KC),
            "fi1\xE2\x81\x84"
            "2");
  EXPECT_EQ(normalize_unicode("\xFF", NormalForm::C), "\xEF\xBF\xBD");
}

TEST(Unicode, LowerCase) {
  EXPECT_EQ(lowercase("\xC3\x84\xCE\xA3 \xC4\xB0"), "\xC3\xA4\xCF\x83 i\xCC\x87");
  EXPECT_EQ(lowercase("A\xFFZ"), "a\xFFz");
}

TEST(ByteLevel, EveryByteHasItsCharacter) {
  std::string bytes, text, back;
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(byte_level_byte(byte_level_char(static_cast<uint8_t>(byte))), byte);
    bytes.push_back(static_cast<char>(byte));
  }
  append_byte_level(text, bytes);
  byte_level_to_bytes(text, &back);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(byte_level_char(' '), U'\u0120');
  EXPECT_EQ(byte_level_byte(0x4E00), -1);
}

TEST(Unicode, AnEndInsideACharacterIsCutOff) {
  for (std::string_view half : {"\xC3", "\xE4", "\xE4\xBD", "\xF0", "\xF0\x9F", "\xF0\x9F\x98"}) {
    EXPECT_EQ(whole_characters(std::string("ab").append(half)), "ab");
    EXPECT_EQ(whole_characters(half), "");
  }
  for (std::string_view whole : {"", "a", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "\x80",
                                 "\xFF", "a\x80\x80\x80\x80"}) {
    EXPECT_EQ(whole_characters(whole), whole);
  }
}

}  // namespace
}  // namespace verge::engine
