// Published JSON of embeddings, classification and reranking over a scripted service.
#include <cstring>

#include "protocol/tasks/text_embeddings.h"
#include "support/base64.h"
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

std::string floats(const std::vector<float>& values) {
  return base64_encode({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

class EmbeddingsTest : public ApiTest {
 protected:
  static constexpr const char* kBge = "/client/v4/accounts/a/ai/run/@cf/baai/bge-small-en-v1.5";
  void answer(json::value result) { answer(protocol::Result(std::move(result))); }
  void answer(protocol::Result result) {
    std::vector<Event> events{accepted(5)};
    events.push_back(std::move(result));
    events.push_back(usage(5, 0));
    events.push_back(end());
    service_.say(std::move(events));
  }
  json::object params() { return service_.requests().back().params; }
};

TEST_F(EmbeddingsTest, TextsBecomeVectorsOfTheirShape) {
  answer(protocol::to_result(protocol::Embeddings{2, 2, {0.1f, -1, 3.5e-8f, 2}, protocol::EmbeddingPooling::Mean, {}}));
  Answer got = post(kBge, R"({"text":["a","b"]})");
  EXPECT_EQ(got.status, 200);
  const json::value result = got.json().at("result");
  EXPECT_EQ(json::serialize(result), R"({"shape":[2,2],"data":[[1E-1,-1E0],[3.5E-8,2E0]],"pooling":"mean"})") << "as short as an f32 allows";
  EXPECT_EQ(service_.requests().back().task, "text-embeddings");
  EXPECT_EQ(json::serialize(params()), R"({"texts":["a","b"],"pooling":"mean"})");
  post(kBge, R"({"text":"a","pooling":"cls"})");
  EXPECT_EQ(json::serialize(params()), R"({"texts":["a"],"pooling":"cls"})");
}

TEST_F(EmbeddingsTest, BadInputIsRefusedAsPublished) {
  std::string many = R"({"text":["x")";
  for (int i = 0; i < 100; ++i) many += R"(,"x")";
  for (const std::string& body : {std::string(R"({"text":""})"), std::string(R"({"text":[]})"), std::string(R"({"text":7})"), std::string("{}"), std::string(R"({"text":["a",1]})"),
                                  std::string(R"({"text":"a","pooling":"max"})"), many + "]}", std::string(R"({"requests":[{"text":"a"}]})"), std::string("not json"), std::string("[]")}) {
    Answer got = post(kBge, body);
    EXPECT_EQ(got.status, 400) << body;
    EXPECT_EQ(code_of(got), 5006) << body;
  }
  EXPECT_TRUE(service_.requests().empty());
}

TEST_F(EmbeddingsTest, BgeM3ScoresContexts) {
  const std::string url = "/client/v4/accounts/a/ai/run/@cf/baai/bge-m3";
  answer(json::object{{"scores", {0.25, 0.75}}});
  EXPECT_EQ(json::serialize(post(url, R"({"query":"q","contexts":[{"text":"a"},{"text":"b"}]})").json().at("result")),
            R"({"response":[{"id":1,"score":7.5E-1},{"id":0,"score":2.5E-1}]})");
  EXPECT_EQ(json::serialize(params()), R"({"query":"q","texts":["a","b"],"truncate":false})");
  answer(protocol::to_result(protocol::Embeddings{1, 1, {1}, protocol::EmbeddingPooling::Cls, {}}));
  EXPECT_EQ(json::serialize(post(url, R"({"contexts":[{"text":"a"}],"truncate_inputs":true})").json().at("result")), R"({"shape":[1,1],"response":[[1E0]],"pooling":"cls"})");
  EXPECT_EQ(params().at("truncate"), true);
}

TEST_F(EmbeddingsTest, TheBindingGetsTheBareResult) {
  answer(protocol::to_result(protocol::Embeddings{1, 1, {1}, protocol::EmbeddingPooling::Mean, {}}));
  Answer got = post("/run?version=3", R"({"inputs":{"text":"a"},"options":{}})", {{"cf-consn-model-id", "@cf/baai/bge-small-en-v1.5"}});
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("content-type"), "application/json");
  EXPECT_EQ(json::serialize(got.json()), R"({"shape":[1,1],"data":[[1E0]],"pooling":"mean"})");
}

TEST_F(EmbeddingsTest, OpenAiInBothEncodings) {
  answer(protocol::to_result(protocol::Embeddings{2, 2, {1, 2, 3, 4}, protocol::EmbeddingPooling::Mean, {}}));
  const char* kUrl = "/v1/embeddings";
  json::value base64 = post(kUrl, R"({"model":"@cf/baai/bge-small-en-v1.5","input":["a","b"],"encoding_format":"base64","dimensions":2})").json();
  EXPECT_EQ(base64.at("object"), "list");
  EXPECT_EQ(base64.at("data").at(1).at("embedding").as_string(), floats({3, 4}));
  EXPECT_EQ(base64.at("data").at(1).at("index"), 1);
  EXPECT_EQ(base64.at("usage").at("total_tokens"), 5);
  EXPECT_EQ(params().at("dimensions"), 2);
  json::value plain = post(kUrl, R"({"model":"@cf/baai/bge-small-en-v1.5","input":"a"})").json();
  EXPECT_EQ(json::serialize(plain.at("data").at(0).at("embedding")), "[1E0,2E0]");
  for (const char* body : {R"({"model":"@cf/baai/bge-small-en-v1.5"})", R"({"model":"@cf/baai/bge-small-en-v1.5","input":[]})", R"({"model":"@cf/baai/bge-small-en-v1.5","input":""})",
                           R"({"model":"@cf/baai/bge-small-en-v1.5","input":[[1,2]]})", R"({"model":"@cf/baai/bge-small-en-v1.5","input":"a","encoding_format":"hex"})",
                           R"({"model":"@cf/baai/bge-small-en-v1.5","input":"a","dimensions":0})"}) {
    Answer got = post(kUrl, body);
    EXPECT_EQ(got.status, 400) << body;
    EXPECT_TRUE(got.json().at("error").as_object().contains("message")) << body;
  }
  EXPECT_EQ(post(kUrl, R"({"model":"@cf/meta/llama-3.2-1b-instruct","input":"a"})").status, 404) << "a model of another task";
}

TEST_F(EmbeddingsTest, ClassesAndRerankedContextsBestFirst) {
  answer(json::object{{"labels", {"NEGATIVE", "POSITIVE"}}, {"scores", json::array{json::array{0.25, 0.75}}}});
  EXPECT_EQ(json::serialize(post("/client/v4/accounts/a/ai/run/@cf/huggingface/distilbert-sst-2-int8", R"({"text":"nice"})").json().at("result")),
            R"([{"label":"POSITIVE","score":7.5E-1},{"label":"NEGATIVE","score":2.5E-1}])");
  EXPECT_EQ(service_.requests().back().task, "text-classification");
  answer(json::object{{"labels", {"LABEL_0"}}, {"scores", json::array{json::array{0.5}, json::array{0.75}, json::array{0.25}}}});
  const std::string url = "/client/v4/accounts/a/ai/run/@cf/baai/bge-reranker-base";
  EXPECT_EQ(json::serialize(post(url, R"({"query":"q","contexts":[{"text":"a"},{"text":"b"},{"text":"c"}],"top_k":2})").json().at("result")),
            R"({"response":[{"id":1,"score":7.5E-1},{"id":0,"score":5E-1}]})");
  EXPECT_EQ(post(url, R"({"query":"q"})").status, 400);
  EXPECT_EQ(post(url, R"({"query":"q","contexts":[{"text":"a"}],"top_k":0})").status, 400);
  EXPECT_EQ(post(url, R"({"query":"q","contexts":[{}]})").status, 400);
  EXPECT_EQ(post(url, R"({"text":"q"})").status, 400);
}

}  // namespace
}  // namespace verge::api::testing
