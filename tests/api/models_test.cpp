#include <set>

#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

class ModelsTest : public ApiTest {
 protected:
  json::value search(std::string query = "") { return get("/client/v4/accounts/a/ai/models/search?" + query).json(); }
  std::set<std::string> names(std::string query) {
    std::set<std::string> out;
    json::value body = search(std::move(query));
    for (const json::value& model : body.at("result").as_array()) out.insert(std::string(model.at("name").as_string()));
    return out;
  }
};

TEST_F(ModelsTest, ModelHasThePublishedShape) {
  json::value body = search("search=llama-3.2-1b");
  EXPECT_EQ(body.at("success"), true);
  ASSERT_EQ(body.at("result").as_array().size(), 1u);
  json::value model = body.at("result").at(0);
  EXPECT_EQ(model.at("id"), "906a57fd-b018-4d6c-a43e-a296d4cc5839");
  EXPECT_EQ(model.at("source"), 1);
  EXPECT_EQ(model.at("name"), kModel);
  EXPECT_EQ(model.at("task").at("id"), "c329a1f9-323d-4e91-b2aa-582dd4188d34");
  EXPECT_EQ(model.at("task").at("name"), "Text Generation");
  EXPECT_EQ(model.at("created_at"), "2024-09-25 21:36:32.050");
  EXPECT_TRUE(model.at("tags").is_array());
  EXPECT_EQ(model.at("properties").at(0),
            json::parse(R"({"property_id":"price","value":[{"unit":"per M input tokens","price":0.027,"currency":"USD"},
    {"unit":"per M output tokens","price":0.201,"currency":"USD"}]})"));
  EXPECT_EQ(model.at("properties").at(1), json::parse(R"({"property_id":"context_window","value":"60000"})"));
  EXPECT_EQ(body.at("result_info"), json::parse(R"({"count":1,"page":1,"per_page":100,"total_count":1})"));
}

TEST_F(ModelsTest, PagesEndWithAnEmptyOne) {
  std::set<std::string> all;
  int page = 1;
  for (;; ++page) {
    ASSERT_LT(page, 50);
    auto here = names("per_page=7&include_deprecated=true&page=" + std::to_string(page));
    if (here.empty()) break;
    for (const std::string& name : here) EXPECT_TRUE(all.insert(name).second) << name;
  }
  EXPECT_EQ(all.size(), catalogue_.all().size());
  EXPECT_TRUE(search("page=9223372036854775807&per_page=1000").at("result").as_array().empty());
}

TEST_F(ModelsTest, Filters) {
  for (const std::string& name : names("author=qwen")) EXPECT_TRUE(name.starts_with("@cf/qwen/")) << name;
  EXPECT_FALSE(names("author=qwen").empty());
  for (const std::string& name : names("source=2&include_deprecated=true")) EXPECT_TRUE(name.starts_with("@hf/")) << name;
  EXPECT_FALSE(names("source=2&include_deprecated=true").empty());
  EXPECT_EQ(names("task=text-generation"), names("task=Text%20Generation"));
  EXPECT_TRUE(names("task=Text%20To%20Smell").empty());
  EXPECT_EQ(names("task=text-embeddings"), names("task=Text%20Embeddings"));
  EXPECT_FALSE(names("").contains("@cf/meta/llama-3-8b-instruct"));
  EXPECT_TRUE(names("include_deprecated=true").contains("@cf/meta/llama-3-8b-instruct"));
  EXPECT_TRUE(names("").contains("@cf/google/gemma-2b-it-lora"));
  EXPECT_FALSE(names("hide_experimental=true").contains("@cf/google/gemma-2b-it-lora"));
  EXPECT_TRUE(names("search=GEMMA").contains("@cf/google/gemma-4-26b-a4b-it"));
}

TEST_F(ModelsTest, WrongQueriesAreRefused) {
  for (const char* query : {"page=0", "page=-1", "page=x", "per_page=0", "per_page=1e3", "source=cf", "format=openrouter"}) {
    Answer answer = get(std::string("/client/v4/accounts/a/ai/models/search?") + query);
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_EQ(code_of(answer), 5006);
  }
}

TEST_F(ModelsTest, SchemaTasksAndAuthors) {
  json::value schema = get("/client/v4/accounts/a/ai/models/schema?model=%40cf%2Fmeta%2Fllama-3.2-1b-instruct").json().at("result");
  EXPECT_TRUE(schema.at("input").as_object().contains("oneOf"));
  EXPECT_TRUE(schema.as_object().contains("output"));
  EXPECT_EQ(code_of(get("/client/v4/accounts/a/ai/models/schema?model=nope")), 5007);
  EXPECT_EQ(get("/client/v4/accounts/a/ai/models/schema").status, 400);
  json::value tasks = get("/client/v4/accounts/a/ai/tasks/search").json().at("result");
  bool generation = false;
  for (const json::value& task : tasks.as_array()) generation |= task.at("name") == "Text Generation";
  EXPECT_TRUE(generation);
  json::value authors = get("/client/v4/accounts/a/ai/authors/search").json().at("result");
  bool meta = false;
  for (const json::value& author : authors.as_array()) meta |= author.at("name") == "meta";
  EXPECT_TRUE(meta);
}

}  // namespace
}  // namespace verge::api::testing
