#include "convert/charset.h"

#include <gtest/gtest.h>

#include <random>

#include "support/utf8.h"

namespace verge::convert {
namespace {

std::string text(std::string_view bytes, std::string_view declared = "") {
  auto read = to_utf8(bytes, declared);
  return read ? *read : "error: " + read.error().message;
}

template <size_t N>
std::string bytes(const char (&literal)[N]) { return std::string(literal, N - 1); }

TEST(Charset, ByteOrderMarks) {
  EXPECT_EQ(text("\xef\xbb\xbf\xc3\xa9"), "é");
  EXPECT_EQ(text(bytes("\xff\xfe\xe9\0")), "é");
  EXPECT_EQ(text(bytes("\xfe\xff\0\xe9")), "é");
  EXPECT_EQ(text(bytes("\xff\xfe\0\0\xe9\0\0\0")), "é");
  EXPECT_EQ(text(bytes("\0\0\xfe\xff\0\0\0\xe9")), "é");
  EXPECT_EQ(text("\x84\x31\x95\x33\xd6\xd0"), "中");
  EXPECT_EQ(text(bytes("\xff\xfe\xe9\0"), "shift_jis"), "é");  // a mark is stronger than a label
  EXPECT_EQ(text("\xff\xfe"), "");
}

TEST(Charset, Utf16And32WithoutMark) {
  EXPECT_EQ(text(bytes("a\0\t\0\xe9\0\n\0")), "a\té\n");
  EXPECT_EQ(text(bytes("\0a\0\t\0\xe9\0\n")), "a\té\n");
  EXPECT_EQ(text(bytes("a\0\0\0\xe9\0\0\0")), "aé");
  EXPECT_EQ(text(bytes("\0\0\0a\0\0\0\xe9")), "aé");
  EXPECT_EQ(text(bytes("\xe5\x65\x2c\x67"), "utf-16"), "日本");
  EXPECT_EQ(text(bytes("\x65\xe5\x67\x2c"), "UTF-16BE"), "日本");
}

TEST(Charset, DeclaredOnes) {
  EXPECT_EQ(text("\xc1\xaa\xcd\xa8", "gbk"), "联通");  // happens to be UTF-8 too
  EXPECT_EQ(text("\xc3\xa9", "iso-8859-1"), "é");        // UTF-8 under a wrong label
  EXPECT_EQ(text("\xe9\x80", "utf-8"), "é€");            // and the reverse
  EXPECT_EQ(text("\x82", "cp437"), "é");
  EXPECT_EQ(text("\x8e", "macintosh"), "é");
  EXPECT_EQ(text("\x8c\xae", "IBM866"), "Мо");
  EXPECT_EQ(text("\xca\xc7\xd1", "windows-874"), "สวั");
  EXPECT_EQ(text("\x1b$BF|K\\\x1b(B", "iso-2022-jp"), "日本");
  for (const char* nonsense : {"bogus", "../../etc/passwd", "utf-8,swaplfnl", "", "=", "%s%s"}) EXPECT_EQ(text("\xe9", nonsense), "é") << nonsense;
}

TEST(Charset, FoundWithoutLabel) {
  EXPECT_EQ(text("caf\xe9 cr\xe8me"), "café crème");
  EXPECT_EQ(text("\x93Quoted\x94 \x96 na\xefve"), "“Quoted” – naïve");
  EXPECT_EQ(text("Za\xbf\xf3\xb3\xe6 g\xea\x9cl\xb9 ja\x9f\xf1"), "Zażółć gęślą jaźń");
  EXPECT_EQ(text("\xcc\xee\xf1\xea\xe2\xe0"), "Москва");                      // windows-1251
  EXPECT_EQ(text("\xed\xcf\xd3\xcb\xd7\xc1"), "Москва");                      // KOI8
  EXPECT_EQ(text("\x8c\xae\xe1\xaa\xa2\xa0"), "Москва");                      // DOS
  EXPECT_EQ(text("\xd0\xd5\xc3\xfb,\xc4\xea\xc1\xe4\n\xd5\xc5\xc8\xfd,30\n"), "姓名,年龄\n张三,30\n");
  EXPECT_EQ(text("\xa9m\xa6W,\xa6~\xc4\xd6\n\xb1i\xa4T,30\n"), "姓名,年齡\n張三,30\n");
  EXPECT_EQ(text("\x96\xbc\x91O,\x94N\x97\xee\n\x93\x63\x92\x86,30\n"), "名前,年齢\n田中,30\n");
  EXPECT_EQ(text("\x83\x65\x83\x58\x83\x67"), "テスト");
  EXPECT_EQ(text("\xa5\xc6\xa5\xb9\xa5\xc8"), "テスト");                      // EUC-JP
  EXPECT_EQ(text("\xc0\xcc\xb8\xa7,\xb3\xaa\xc0\xcc\n\xb1\xe8\xc3\xb6\xbc\xf6,30\n"), "이름,나이\n김철수,30\n");
  EXPECT_EQ(text("\x1b$BF|K\\8l$N%F%-%9%H\x1b(B"), "日本語のテキスト");
}

TEST(Charset, SignsBeforeLettersAreWestern) {
  for (const char* sign : {"20\xb0""C", "5\xb5m", "-3\xb0""F", "1\xb1""A", "4\xb7""B", "\xa9""ACME", "\xa7""A"}) {
    EXPECT_EQ(text(sign), *to_utf8(sign, "windows-1252"));
    std::string column = "t\n";
    for (int i = 0; i < 300; ++i) column += std::string(sign) + "\n";
    EXPECT_EQ(text(column), *to_utf8(column, "windows-1252"));
  }
}

TEST(Charset, FewWrongBytesInUtf8) {
  EXPECT_EQ(text("ééééé\xff!"), "ééééé\xef\xbf\xbd!");
  EXPECT_EQ(text(bytes("a\0b\rc\r\nd")), "a\xef\xbf\xbd" "b\nc\nd");
  EXPECT_EQ(text(bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xd8\0")).substr(0, 6), "error:");
}

TEST(Charset, AnyBytesGiveUtf8OrAnError) {
  std::mt19937 random(5);
  for (const char* declared : {"", "utf-8", "utf-16", "utf-32be", "shift_jis", "gb18030", "big5", "euc-kr", "euc-jp", "iso-2022-jp", "koi8-r", "utf-7", "hz"}) {
    for (size_t length = 0; length < 200; ++length) {
      std::string any(length, '\0');
      for (char& c : any) c = static_cast<char>(length % 2 ? random() : 0x80 | random());
      if (auto read = to_utf8(any, declared)) {
        ASSERT_TRUE(is_utf8(*read)) << declared << length;
      }
    }
  }
}

}  // namespace
}  // namespace verge::convert
