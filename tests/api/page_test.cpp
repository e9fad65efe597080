// The page's files over HTTP. A build without npm (and the sanitizers') has none, and says so.
#include "api/page.h"

#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

using PageTest = ApiTest;

TEST_F(PageTest, IsServedOrSaidToBeAbsent) {
  start();
  const Answer answer = get("/");
  if (page_files().empty()) {
    EXPECT_EQ(answer.status, 404);
    EXPECT_NE(answer.body.find("This build of Verge has no page"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find(page_absence()), std::string::npos);
    EXPECT_EQ(get("/verge/docs").status, 404);
    return;
  }
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.header("content-security-policy").find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(get("/verge/docs").status, 308);
}

TEST_F(PageTest, TagsDifferByCodingAndAreKnownAgain) {
  if (page_files().empty()) GTEST_SKIP() << "built without the page";
  start();
  const std::string plain = get("/").header("etag"), packed = get("/", {{"Accept-Encoding", "gzip"}}).header("etag");
  EXPECT_NE(plain, packed);
  for (const std::string& listed : {plain, "W/" + plain, "\"x\", " + plain, std::string("*")}) {
    const Answer again = get("/", {{"If-None-Match", listed}});
    EXPECT_EQ(again.status, 304) << listed;
    EXPECT_TRUE(again.body.empty());
  }
  EXPECT_EQ(get("/", {{"If-None-Match", packed}}).status, 200);
  EXPECT_EQ(get("/", {{"Accept-Encoding", "br, gzip"}}).header("content-encoding"), "br");
  EXPECT_EQ(get("/", {{"Accept-Encoding", "br;q=0, gzip"}}).header("content-encoding"), "gzip");
}

TEST_F(PageTest, OnlyEmbeddedFilesAreThere) {
  start();
  for (const char* path : {"/verge/page/../index.html", "/verge/page/%2e%2e/index.html", "/verge/page/none.js", "/verge/docs/../../etc/passwd", "/verge/page/index.html"})
    EXPECT_EQ(get(path).status, 404) << path;
  EXPECT_EQ(ask("POST", "/verge/docs/index.html").status, 405);
}

}  // namespace
}  // namespace verge::api::testing
