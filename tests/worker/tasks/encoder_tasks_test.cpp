// Whole tiny encoders (scripts/make_tiny_encoders.py, scripts/make_decoder_embedders.py) through the worker's service: text in, what Hugging Face's
// libraries say out, the same bits alone and in a crowd.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "protocol/tasks/text_embeddings.h"
#include "worker/model_service.h"
#include "tests/paths.h"

namespace verge::worker {
namespace {
namespace asio = boost::asio;

struct Sink : protocol::EventSink {
  protocol::task<bool> put(protocol::Event event) override {
    if (auto* answer = std::get_if<protocol::Result>(&event)) result = *answer, value = answer->value;
    if (auto* usage = std::get_if<protocol::Usage>(&event)) tokens = usage->prompt_tokens;
    if (auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error;
    terminal += protocol::terminal(event);
    co_return true;
  }
  protocol::Result result;
  json::value value;
  int64_t tokens = 0;
  Error error;
  int terminal = 0;
};

std::string folder(const std::string& name) { return std::string(verge::test_data_folder()) + "/models/" + name; }

json::value expected(const std::string& name) {
  std::ifstream in(folder(name) + "/expected.json");
  std::stringstream text;
  text << in.rdbuf();
  return json::parse(text.str());
}

struct EncoderTasks : ::testing::Test {
  void open(const std::string& name) {
    HostOptions host;
    host.path = folder(name);
    host.threads = 2;
    auto opened = open_service(io.get_executor(), host, {"n", name, {}});
    ASSERT_TRUE(opened) << opened.error().message;
    service = std::move(*opened);
  }
  Sink ask(json::object params) {
    Sink sink;
    start(std::move(params), sink);
    io.restart();
    io.run();
    EXPECT_EQ(sink.terminal, 1);
    return sink;
  }
  void start(json::object params, Sink& sink) {
    protocol::Request request;
    request.params = std::move(params);
    request.tenant = "t";
    asio::co_spawn(io, service->run(std::move(request), sink), asio::detached);
  }
  asio::io_context io{1};
  std::unique_ptr<ModelService> service;
};

std::vector<float> vectors(const protocol::Result& result) {
  const auto read = protocol::embeddings(result);
  EXPECT_TRUE(read) << read.error().message;
  return read ? read->values : std::vector<float>();
}

class EmbedderFormats : public EncoderTasks, public ::testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, EmbedderFormats, ::testing::Values("tiny-embedder", "tiny-embedder-gguf/tiny.gguf", "tiny-embedder-torch"),
                         [](const auto& info) -> std::string { return info.index == 0 ? "hub" : info.index == 1 ? "gguf" : "torch"; });

TEST_P(EmbedderFormats, EmbeddingsAreTheReferences) {
  open(GetParam());
  EXPECT_EQ(service->ready().at("task"), "text-embeddings");
  const json::value wanted = expected("tiny-embedder");
  json::array texts;
  int64_t tokens = 0;
  for (const json::value& t : wanted.at("texts").as_array()) {
    // GGUF has no limit of its own below the positions (40), the hub's folder says 32.
    if (std::string_view(GetParam()).ends_with(".gguf") && t.at("ids").as_array().size() == 32) continue;
    texts.push_back(t.at("text"));
    tokens += static_cast<int64_t>(t.at("ids").as_array().size());
  }
  for (const char* pooling : {"mean", "cls"}) {
    const Sink all = ask({{"texts", texts}, {"pooling", pooling}});
    EXPECT_EQ(all.error.message, "");
    EXPECT_EQ(all.tokens, tokens) << "of the longest text only what is read counts";
    EXPECT_EQ(all.value.at("pooling"), pooling);
    const auto got = vectors(all.result);
    const size_t width = got.size() / texts.size();
    for (size_t i = 0; i < texts.size(); ++i) {
      const json::array& reference = wanted.at("texts").as_array()[i].at(pooling).as_array();
      for (size_t k = 0; k < width; ++k) EXPECT_NEAR(got[i * width + k], reference[k].to_number<double>(), 2e-5) << i;
    }
  }
  EXPECT_EQ(ask({{"texts", texts}}).value.at("pooling"), "mean") << "the model's own";
}

// Qwen3-Embedding's and EmbeddingGemma's ways: the last token or the mean, dense layers behind it.
class DecoderEmbedders : public EncoderTasks, public ::testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, DecoderEmbedders,
                         ::testing::Values("tiny-qwen3-embedder", "tiny-qwen3-embedder-gguf/tiny.gguf", "tiny-gemma-embedder", "tiny-gemma-embedder-gguf/tiny.gguf"),
                         [](const auto& info) -> std::string { return std::string(info.index < 2 ? "qwen3" : "gemma") + (info.index % 2 == 0 ? "_hub" : "_gguf"); });

TEST_P(DecoderEmbedders, VectorsAreSentenceTransformers) {
  const std::string name = GetParam();
  const bool gguf = name.ends_with(".gguf");
  open(name);
  EXPECT_EQ(service->ready().at("task"), "text-embeddings");
  const json::value wanted = expected(gguf ? name.substr(0, name.find("-gguf")) : name);
  const size_t width = wanted.at("texts").as_array()[0].at("vector").as_array().size();
  EXPECT_EQ(service->ready().at("width").to_number<size_t>(), width);
  json::array texts;
  int64_t tokens = 0;
  std::vector<std::vector<double>> references;
  for (const json::value& t : wanted.at("texts").as_array()) {
    const size_t count = t.at("ids").as_array().size();
    if (gguf && name.find("gemma") != name.npos && count == 48) continue;  // GGUF has no limit of its own below the positions (64)
    texts.push_back(t.at("text"));
    tokens += static_cast<int64_t>(count);
    references.emplace_back();
    for (const json::value& v : t.at("vector").as_array()) references.back().push_back(v.to_number<double>());
  }
  const Sink all = ask({{"texts", texts}});
  ASSERT_EQ(all.error.message, "");
  EXPECT_EQ(all.tokens, tokens) << "special tokens around the texts, long ones cut";
  EXPECT_EQ(all.value.at("pooling"), name.find("qwen3") != name.npos ? "last" : "mean");
  const auto got = vectors(all.result);
  ASSERT_EQ(got.size(), texts.size() * width);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (size_t k = 0; k < width; ++k) EXPECT_NEAR(got[i * width + k], references[i][k], 2e-5) << texts[i] << k;
    const auto alone = vectors(ask({{"texts", {texts[i]}}}).result);
    EXPECT_EQ(0, std::memcmp(alone.data(), got.data() + i * width, width * sizeof(float))) << texts[i];
  }
}

TEST_F(EncoderTasks, ATextHasTheSameBitsAloneAndInACrowd) {
  open("tiny-embedder");
  const auto alone = vectors(ask({{"texts", {"the cat sat on the mat"}}}).result);
  std::vector<Sink> sinks(40);
  for (size_t i = 0; i < sinks.size(); ++i) {
    json::array texts;
    if (i % 2 == 0) texts.emplace_back("the cat sat on the mat");
    else for (size_t n = 0; n < i; ++n) texts.emplace_back("a river of stone and tea number " + std::to_string(n * i));
    start({{"texts", std::move(texts)}}, sinks[i]);
  }
  io.restart();
  io.run();
  for (size_t i = 0; i < sinks.size(); i += 2) EXPECT_EQ(vectors(sinks[i].result), alone) << i;
}

// Else a text to embed, or one of the texts to rank, could end itself.
TEST_F(EncoderTasks, ControlTokensInAClientsTextStayText) {
  open("tiny-embedder");
  for (const char* token : {"[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]"}) {
    std::string apart(token);
    apart.insert(apart.size() - 1, " ").insert(1, " ");  // as BERT splits it
    const Sink whole = ask({{"texts", {fmt::format("tea {} river", token)}}}), spelt = ask({{"texts", {fmt::format("tea {} river", apart)}}});
    EXPECT_EQ(whole.tokens, spelt.tokens) << token;
    EXPECT_EQ(vectors(whole.result), vectors(spelt.result)) << token;
  }
  open("tiny-reranker");
  const Sink whole = ask({{"texts", {"tea [SEP] river"}}, {"query", "a [SEP] cat"}}), spelt = ask({{"texts", {"tea [ SEP ] river"}}, {"query", "a [ SEP ] cat"}});
  EXPECT_EQ(whole.value, spelt.value);
}

TEST_F(EncoderTasks, DimensionsScoresAndLongTexts) {
  open("tiny-embedder");
  const auto four = vectors(ask({{"texts", {"tea"}}, {"dimensions", 4}}).result);
  ASSERT_EQ(four.size(), 4u);
  double squares = 0;
  for (float x : four) squares += static_cast<double>(x) * x;
  EXPECT_NEAR(squares, 1, 1e-6);
  EXPECT_EQ(ask({{"texts", {"tea"}}, {"dimensions", 33}}).error.code, Code::InvalidInput);
  const Sink scores = ask({{"texts", {"green tea", "a river"}}, {"query", "green tea"}});
  const json::array& list = scores.value.at("scores").as_array();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_NEAR(list[0].as_double(), 1, 1e-6);
  EXPECT_LT(list[1].as_double(), 0.999);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "river ";
  const Sink refused = ask({{"texts", {text}}, {"truncate", false}});
  EXPECT_EQ(refused.error.code, Code::ContextOverflow);
  EXPECT_GT(refused.error.requested, 32) << "encoding stops where the text is known to be too long";
  EXPECT_EQ(refused.error.limit, 32);
  EXPECT_EQ(ask({{"texts", {text}}}).error.message, "");
  EXPECT_EQ(ask({{"texts", json::array{}}}).error.code, Code::InvalidInput);
  EXPECT_EQ(ask({{"texts", {1}}}).error.code, Code::InvalidInput);
  EXPECT_EQ(ask({{"texts", {""}}}).error.message, "") << "[CLS] [SEP] has a vector";
}

TEST_F(EncoderTasks, ClassesAndRerankedPairsAreTheReferences) {
  open("tiny-classifier");
  EXPECT_EQ(service->ready().at("task"), "text-classification");
  json::value wanted = expected("tiny-classifier");
  const Sink classes = ask({{"texts", wanted.at("texts")}});
  EXPECT_EQ(classes.value.at("labels"), wanted.at("labels"));
  for (size_t i = 0; i < wanted.at("scores").as_array().size(); ++i)
    for (size_t k = 0; k < 2; ++k)
      EXPECT_NEAR(classes.value.at("scores").as_array()[i].as_array()[k].as_double(), wanted.at("scores").as_array()[i].as_array()[k].to_number<double>(), 1e-5);

  open("tiny-reranker");
  wanted = expected("tiny-reranker");
  const Sink pairs = ask({{"texts", wanted.at("texts")}, {"query", wanted.at("query")}});
  for (size_t i = 0; i < wanted.at("scores").as_array().size(); ++i)
    EXPECT_NEAR(pairs.value.at("scores").as_array()[i].as_array()[0].as_double(), wanted.at("scores").as_array()[i].to_number<double>(), 1e-5) << i;
}

TEST_F(EncoderTasks, WhatIsNoEncoderFailsToLoad) {
  HostOptions host;
  host.path = std::string(verge::test_data_folder()) + "/reference/encoders/bert";  // no tokenizer
  auto opened = open_service(io.get_executor(), host, {"n", "x", {}});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::LoadFailed);
}

}  // namespace
}  // namespace verge::worker
