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

TEST(Convert, Csv) {
  EXPECT_EQ(csv_to_markdown("name,age\nAda,36\n\"x, \"\"y\"\"\",\"a|b\"\n"), "| name | age |\n| --- | --- |\n| Ada | 36 |\n| x, \"y\" | a\\|b |\n");
  EXPECT_EQ(csv_to_markdown("a;b\r\n1;2;3"), "| a | b |  |\n| --- | --- | --- |\n| 1 | 2 | 3 |\n");
  EXPECT_EQ(csv_to_markdown(""), "");
}

TEST(Convert, TextJsonXmlPages) {
  EXPECT_EQ(*to_markdown("json", R"({"a":1})"), "```json\n{\"a\":1}\n```\n");
  EXPECT_FALSE(to_markdown("json", "{"));
  EXPECT_EQ(*to_markdown("xml", "<a>```</a>"), "````xml\n<a>```</a>\n````\n");
  EXPECT_EQ(*to_markdown("text", "\xef\xbb\xbfhi"), "hi");
  EXPECT_EQ(pages_to_markdown("one\n\ftwo\n\f"), "## Contents\n\n### Page 1\n\none\n\n### Page 2\n\ntwo\n");
}

}  // namespace
}  // namespace verge::convert
