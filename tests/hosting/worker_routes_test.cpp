#include "hosting/worker_routes.h"

#include <gtest/gtest.h>

namespace verge::hosting {
namespace {

bool takes(std::string_view pattern, std::string_view host, std::string_view path) {
  auto route = WorkerRoute::parse(pattern);
  EXPECT_TRUE(route) << pattern;
  return route && route->matches(host, path);
}

TEST(WorkerRoutes, HostsAndPaths) {
  EXPECT_TRUE(takes("shop.example/*", "shop.example", "/"));
  EXPECT_TRUE(takes("shop.example/*", "SHOP.example:8780", "/a/b"));
  EXPECT_TRUE(takes("shop.example/*", "shop.example.:8780", "/a/b"));
  EXPECT_TRUE(takes("shop.example./*", "shop.example", "/a/b"));
  EXPECT_FALSE(takes("shop.example/*", "other.example", "/"));
  EXPECT_TRUE(takes("https://shop.example/api/*", "shop.example", "/api/x"));
  EXPECT_TRUE(takes("shop.example/api/*", "shop.example", "/api"));
  EXPECT_FALSE(takes("shop.example/api/*", "shop.example", "/apix"));
  EXPECT_TRUE(takes("shop.example", "shop.example", "/"));
  EXPECT_FALSE(takes("shop.example", "shop.example", "/x"));
  EXPECT_TRUE(takes("*.example.com/*", "a.example.com", "/"));
  EXPECT_FALSE(takes("*.example.com/*", "example.com", "/"));
  EXPECT_TRUE(takes("*example.com/*", "example.com", "/"));
  EXPECT_TRUE(takes("*/images/*", "anything:1", "/images/cat"));
  EXPECT_TRUE(takes("*/*", "[::1]", "/x"));
  EXPECT_FALSE(takes("shop.example/x", "shop.example", "/x/y"));
}

TEST(WorkerRoutes, TheMoreSpecificWeighsMore) {
  const auto weight = [](std::string_view pattern) { return WorkerRoute::parse(pattern)->weight(); };
  EXPECT_GT(weight("shop.example/*"), weight("*/very/long/path/*"));
  EXPECT_GT(weight("shop.example/api/*"), weight("shop.example/*"));
  EXPECT_GT(weight("*/api/*"), weight("*/*"));
}

TEST(WorkerRoutes, PathsOfTheRuntime) {
  for (const char* path : {"/cdn-cgi", "/cdn-cgi/", "/cdn-cgi/explorer", "/CDN-cgi/mf/x", "//cdn-cgi/x", "/./cdn-cgi/x", "/a/../cdn-cgi/x", "/../cdn-cgi/x", "/a/..\\cdn-cgi/x", "\\cdn-cgi\\x"})
    EXPECT_TRUE(is_runtime_path(path)) << path;
  for (const char* path : {"/", "", "*", "/x/cdn-cgi/", "/cdn-cgi-x", "/cdn-cgi/../x", "/a/b/../cdn-cgi/x"}) EXPECT_FALSE(is_runtime_path(path)) << path;
}

RouteClaim claim(std::string worker, std::vector<std::string> patterns) {
  RouteClaim made{std::move(worker), {}, patterns.empty()};
  for (const std::string& pattern : patterns) made.routes.push_back(*WorkerRoute::parse(pattern));
  return made;
}

TEST(WorkerRoutes, CollisionsAreNamed) {
  const std::vector<std::string> own{"localhost", "verge.lan", "*"}, api{"/v1/models", "/readyz", "/client/v4/accounts/x/ai/run/x"};
  const auto said = [&](const std::vector<RouteClaim>& claims) {
    auto checked = check_claims(claims, own, api);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(said({claim("a", {"a.example/*"}), claim("b", {"b.example/*", "a.example/x"}), claim("c", {})}), "");
  EXPECT_EQ(said({claim("a", {"*/*"}), claim("b", {"*/images/*"})}), "");
  EXPECT_EQ(said({claim("a", {"a.example/*", "a.example/*"})}), "");
  EXPECT_EQ(said({claim("a", {"a.example/*"}), claim("b", {"https://A.example/*"})}), "the Workers a and b have the same route 'a.example/*'");
  EXPECT_NE(said({claim("a", {}), claim("b", {"*/*"})}).find("the Workers a and b would both take"), std::string::npos);
  for (const char* pattern : {"*/v1/*", "*/v1/models", "*/readyz", "*/v*", "*/client/*", "localhost/*", "VERGE.lan/v1/*", "*lan/*", "*/cdn-cgi/*", "a.example/cdn-cgi/x"})
    EXPECT_NE(said({claim("a", {pattern})}).find("Worker a: route '"), std::string::npos) << pattern;
  EXPECT_EQ(said({claim("a", {"localhost/images/*", "*/v1x/*", "*.example/v1/*"})}), "");
}

TEST(WorkerRoutes, RefusesOtherStars) {
  for (const char* pattern : {"", "/path", "a.*.b/*", "x/*/y", "x/y?z=1"}) EXPECT_FALSE(WorkerRoute::parse(pattern)) << pattern;
}

}  // namespace
}  // namespace verge::hosting
