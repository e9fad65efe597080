#include "convert/convert.h"

#include <gtest/gtest.h>

namespace verge::convert {
namespace {

TEST(Convert, KindsByNameThenType) {
  EXPECT_EQ(kind_of("a.PDF", "text/html"), "pdf");
  EXPECT_EQ(kind_of("page", "text/html; charset=utf-8"), "html");
  EXPECT_EQ(kind_of("film.mp4", "video/mp4"), "");
  EXPECT_FALSE(supported().empty());
}

TEST(Convert, HtmlBlocksAndInlines) {
  EXPECT_EQ(*html_to_markdown("<html><head><title>T</title><style>x</style></head><body><h1>Title</h1><p>Some <b>bold</b>, <i>slanted</i> "
                              "and <code>code</code>.</p><script>alert(1)</script><p>Two<br>lines &amp; more</p></body></html>"),
            "# T\n\n# Title\n\nSome **bold**, *slanted* and `code`.\n\nTwo\nlines & more\n");
  EXPECT_EQ(*html_to_markdown("<a href='https://x.example/'>here</a> <a href='javascript:x'>not</a> <img src='a.png' alt='cat'>"), "[here](https://x.example/) not ![cat](a.png)\n");
  EXPECT_EQ(*html_to_markdown("<b></b><p> a <b> b </b> c</p>"), "a ** b** c\n");
}

TEST(Convert, HtmlListsQuotesCodeTables) {
  EXPECT_EQ(*html_to_markdown("<ul><li>one<ul><li>in</li></ul></li><li><p>two</p></li></ul>after"), "- one\n  - in\n- two\n\nafter\n");
  EXPECT_EQ(*html_to_markdown("<ol><li>a</li><li>b</li></ol>"), "1. a\n2. b\n");
  EXPECT_EQ(*html_to_markdown("<blockquote><p>one</p><p>two</p></blockquote>"), "> one\n>\n> two\n");
  EXPECT_EQ(*html_to_markdown("<pre><code>if (a)\n  b();\n</code></pre>"), "```\nif (a)\n  b();\n```\n");
  EXPECT_EQ(*html_to_markdown("<table><thead><tr><th>k</th><th>v</th></tr></thead><tbody><tr><td>a|b</td><td>1<br>2</td></tr></tbody></table>"),
            "| k | v |\n| --- | --- |\n| a\\|b | 1 2 |\n");
}

TEST(Convert, HtmlThatIsBroken) {
  for (const char* html : {"", " ", "<", "<p", "</p></p>", "<table><td>x", "<ul><ul><li>", "&#xffffffff;", "<a href=\"", "plain"}) EXPECT_TRUE(html_to_markdown(html)) << html;
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += "<div>";
  [[maybe_unused]] auto no_crash = html_to_markdown(deep + "x");
}

TEST(Convert, HtmlNumericReferencesOfWindows1252) {
  EXPECT_EQ(*html_to_markdown("<title>don&#146;t</title><p>&#147;a&#148; &#150; b&#133; &#128;5 &#x99; &#129;</p><img src=a.png alt='&#145;x'>"),
            "# don’t\n\n“a” – b… €5 ™ \xc2\x81\n\n![‘x](a.png)\n");
  EXPECT_EQ(*html_to_markdown("<p>&#160;&#233; \xc2\xb0</p>"), "\xc2\xa0é °\n") << "no C1";
}

TEST(Convert, Csv) {
  EXPECT_EQ(csv_to_markdown("name,age\nAda,36\n\"x, \"\"y\"\"\",\"a|b\"\n"), "| name | age |\n| --- | --- |\n| Ada | 36 |\n| x, \"y\" | a\\|b |\n");
  EXPECT_EQ(csv_to_markdown("a;b\r\n1;2;3"), "| a | b |  |\n| --- | --- | --- |\n| 1 | 2 | 3 |\n");
  EXPECT_EQ(csv_to_markdown(""), "");
}

TEST(Convert, CsvSeparatorsAndLineEnds) {
  const std::string table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n";
  for (const char* csv : {"a,b\r1,2\r", "a;b\n1;2", "a\tb\r\n1\t2\r\n", "a|b\n1|2\n", "sep=;\r\na;b\r\n1;2\r\n", "SEP=|\na|b\n1|2", "\"sep=\t\"\na\tb\n1\t2", "sep=:\ra:b\r1:2"}) {
    EXPECT_EQ(csv_to_markdown(csv), table) << csv;
  }
  EXPECT_EQ(csv_to_markdown("\"a;;;\",b\n1,2\n"), "| a;;; | b |\n| --- | --- |\n| 1 | 2 |\n");   // quoted text names no separator
  EXPECT_EQ(csv_to_markdown("a,\"b\r\nc\"\n1,2\n"), "| a | b c |\n| --- | --- |\n| 1 | 2 |\n");
  EXPECT_EQ(csv_to_markdown("separate,b\n1,2\n"), "| separate | b |\n| --- | --- |\n| 1 | 2 |\n");
}

// Elements inside elements: an error, whatever the depth.
TEST(Convert, DeepNestingIsAnError) {
  for (const char* open : {"<div>", "<b>", "<ul><li>", "<blockquote>", "<table><tr><td>", "<table><tbody><foo>"}) {
    std::string deep;
    for (int i = 0; i < 200'000; ++i) deep += open;
    auto markdown = html_to_markdown(deep + "x");
    ASSERT_FALSE(markdown) << open;
    EXPECT_NE(markdown.error().message.find("deep"), std::string::npos) << open << markdown.error().message;
  }
  std::string usual;
  for (int i = 0; i < 600; ++i) usual += "<div>";  // libxml2 itself leaves off at 256
  EXPECT_EQ(*html_to_markdown(usual + "x"), "x\n");
  EXPECT_FALSE(to_markdown("json", "", std::string(200'000, '[')));
  EXPECT_TRUE(to_markdown("xml", "", [] { std::string xml; for (int i = 0; i < 200'000; ++i) xml += "<a>"; return xml; }()));
}

TEST(Convert, EveryKindInAnyCharset) {
  EXPECT_EQ(*to_markdown("csv", "", "Stra\xdf" "e;Preis\nM\xfcller;3 \x80\n"), "| Straße | Preis |\n| --- | --- |\n| Müller | 3 € |\n");
  EXPECT_EQ(*to_markdown("csv", "text/csv; charset=\"Shift_JIS\"", "\x96\xbc,a\n"), "| 名 | a |\n| --- | --- |\n");
  EXPECT_EQ(*to_markdown("html", "", "<meta charset=\"windows-1252\"><p>na\xefve \x93quoted\x94</p>"), "naïve “quoted”\n");
  EXPECT_EQ(*to_markdown("html", "", "<META http-equiv=Content-Type content='text/html; charset=KOI8-R'><p>\xcd\xc9\xd2"), "мир\n");
  EXPECT_EQ(*to_markdown("html", "", "<meta charset=utf-16><p>\xc3\xa9"), "é\n");       // not read as UTF-16, so not in UTF-16
  EXPECT_EQ(*to_markdown("html", "text/html;charset=windows-1251", "<meta charset=utf-8><p>\xec\xe8\xf0"), "мир\n");  // the sender's word first
  EXPECT_EQ(*to_markdown("html", "", std::string("\xff\xfe<\0p\0>\0\xe9\0", 10)), "é\n");
  EXPECT_EQ(*to_markdown("html", "", std::string("<p>a\0b", 6)), "a\xef\xbf\xbd" "b\n");
  EXPECT_EQ(*to_markdown("xml", "", "<?xml version='1.0' encoding='ISO-8859-2'?><a>\xb1</a>"), "```xml\n<?xml version='1.0' encoding='ISO-8859-2'?><a>ą</a>\n```\n");
  EXPECT_EQ(*to_markdown("json", "", std::string("{\0\"\0a\0\"\0:\0\"\0\xe9\0\"\0}\0", 18)), "```json\n{\"a\":\"é\"}\n```\n");
  EXPECT_EQ(*to_markdown("text", "", "one\rtwo\r\nthree"), "one\ntwo\nthree");
}

TEST(Convert, TextJsonXmlPages) {
  EXPECT_EQ(*to_markdown("json", "", R"({"a":1})"), "```json\n{\"a\":1}\n```\n");
  EXPECT_FALSE(to_markdown("json", "", "{"));
  EXPECT_EQ(*to_markdown("xml", "", "<a>```</a>"), "````xml\n<a>```</a>\n````\n");
  EXPECT_EQ(*to_markdown("text", "", "\xef\xbb\xbfhi"), "hi");
  EXPECT_EQ(pages_to_markdown("one\n\ftwo\n\f"), "## Contents\n\n### Page 1\n\none\n\n### Page 2\n\ntwo\n");
}

}  // namespace
}  // namespace verge::convert
