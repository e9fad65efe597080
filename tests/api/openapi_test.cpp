// The description of the API has every route, and every parameter of every route.
#include "api/openapi.h"

#include <set>

#include "api/routes.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

using OpenApiTest = ApiTest;

// "/ai/run/{model...}" -> "/ai/run/{model}"
std::string plain(std::string_view pattern) {
  std::string out(pattern);
  for (size_t at; (at = out.find("...}")) != out.npos;) out.erase(at, 3);
  return out;
}
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

TEST_F(OpenApiTest, EveryRouteIsDescribed) {
  start();
  const json::value document = get("/openapi.json").json();
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  std::set<std::string> ids;
  for (const Route& route : routes()) {
    const json::value* operation = document.as_object().at("paths").as_object().if_contains(plain(route.pattern));
    if (operation) operation = operation->as_object().if_contains(lower(route.method));
    ASSERT_TRUE(operation) << route.method << " " << route.pattern << " has no row in openapi.cpp";
    EXPECT_TRUE(ids.insert(std::string(operation->at("operationId").as_string())).second) << operation->at("operationId");
    EXPECT_EQ(operation->as_object().contains("requestBody"), route.method == "PUT" || (route.method == "POST" && !route.pattern.ends_with("/cancel"))) << route.pattern;
    EXPECT_EQ(operation->at("security").as_array().empty(), route.access == Access::Open) << route.pattern;
    std::set<std::string> parameters;
    if (const json::value* list = operation->as_object().if_contains("parameters"))
      for (const json::value& one : list->as_array()) parameters.emplace(one.at("name").as_string());
    if (route.query != kEndpointReadsQuery)
      for (std::string name : query_names(std::string(route.query))) { EXPECT_TRUE(parameters.contains(name) || name.find(' ') != name.npos) << route.pattern << " " << name; }
  }
}

TEST_F(OpenApiTest, SchemasAreThoseOfTheCatalogue) {
  start();
  const json::value document = get("/verge/openapi.json").json();
  const json::value& schemas = document.at("components").at("schemas");
  EXPECT_TRUE(schemas.at("TextGenerationInput").as_object().contains("oneOf"));
  EXPECT_TRUE(schemas.at("TextEmbeddingsResult").is_object());
  EXPECT_TRUE(schemas.at("TextGenerationInputMessages").at("properties").as_object().contains("tools"));
  const json::value& chat = document.at("paths").at("/v1/chat/completions").at("post").at("requestBody").at("content").at("application/json").at("schema");
  EXPECT_TRUE(chat.at("properties").as_object().contains("min_p"));
  EXPECT_FALSE(chat.at("properties").as_object().contains("lora")) << "what is refused is not offered";
}

// A hosted Worker that takes what the API leaves has these two paths; below /verge they are the server's.
TEST_F(OpenApiTest, PageAndDescriptionYieldToWorkers) {
  for (const char* path : {"/", "//", "/openapi.json", "/openapi.json/"}) EXPECT_TRUE(match_route("GET", path).yields) << path;
  for (const char* path : {"/verge", "/verge/", "/verge/openapi.json", "/verge/page/x.js", "/verge/docs", "/v1/models", "/healthz"}) {
    const Match match = match_route("GET", path);
    EXPECT_TRUE(match.route) << path;
    EXPECT_FALSE(match.yields) << path;
  }
  EXPECT_TRUE(match_route("POST", "/").yields) << "a Worker's own form at / is posted there";
  for (const std::string& path : Api::example_paths()) EXPECT_FALSE(match_route("GET", path).yields) << path;
}

}  // namespace
}  // namespace verge::api::testing
