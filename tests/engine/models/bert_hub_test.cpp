#include "engine/models/bert/hub.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

json::object bert(const std::string& more = "") {
  return json::parse(R"({"model_type":"bert","vocab_size":100,"num_hidden_layers":2,"hidden_size":32,"intermediate_size":64,"num_attention_heads":4,
                         "max_position_embeddings":40)" + more + "}").as_object();
}

std::string error(const json::object& config) {
  ModelFile file;
  auto done = translate_bert_config(config, "config.json", &file);
  return done ? "" : done.error().message;
}

TEST(HubBert, ConfigurationBecomesGgufsKeys) {
  ModelFile file;
  ASSERT_TRUE(translate_bert_config(bert(), "config.json", &file));
  EXPECT_EQ(file.architecture, "bert");
  EXPECT_EQ(file.integer("context_length"), 40);
  EXPECT_EQ(file.integer("token_type_count"), 2);
  EXPECT_EQ(file.integer("classifier.classes"), std::nullopt);
  EXPECT_EQ(file.number("attention.layer_norm_epsilon"), 1e-12);
  json::object roberta = bert(R"(,"pad_token_id":1,"type_vocab_size":1,"architectures":["XLMRobertaForSequenceClassification"],"id2label":{"0":"fits"})");
  roberta["model_type"] = "xlm-roberta";
  ModelFile other;
  ASSERT_TRUE(translate_bert_config(roberta, "config.json", &other));
  EXPECT_EQ(other.integer("context_length"), 38) << "two rows are for padding";
  EXPECT_EQ(other.integer("classifier.classes"), 1);
  EXPECT_EQ(*other.array<std::string>("classifier.output_labels"), std::vector<std::string>{"fits"});
}

TEST(HubBert, WrongConfigurationsNameTheKey) {
  for (const char* key : {"vocab_size", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "max_position_embeddings"}) {
    for (const json::value& value : {json::value(nullptr), json::value(0), json::value(-1), json::value("many"), json::value(int64_t{1} << 40)}) {
      json::object config = bert();
      config[key] = value;
      EXPECT_NE(error(config).find(key), std::string::npos) << key << " " << json::serialize(value);
    }
  }
  EXPECT_NE(error(bert(R"(,"hidden_act":"mish")")).find("mish"), std::string::npos);
  EXPECT_NE(error(bert(R"(,"position_embedding_type":"relative_key")")).find("relative_key"), std::string::npos);
  EXPECT_NE(error(bert(R"(,"type_vocab_size":-2)")).find("type_vocab_size"), std::string::npos);
  EXPECT_NE(error(bert(R"(,"architectures":["BertForSequenceClassification"],"id2label":{"1":"x"})")).find("id2label"), std::string::npos);
  json::object roberta = bert(R"(,"pad_token_id":60)");
  roberta["model_type"] = "roberta";
  EXPECT_NE(error(roberta).find("pad_token_id"), std::string::npos);
}

TEST(HubBert, TensorsGetGgufsNames) {
  ModelFile embedder, classifier, distil;
  embedder.architecture = classifier.architecture = "bert";
  distil.architecture = "distilbert";
  classifier.meta["classifier.classes"] = int64_t{2};
  distil.meta["classifier.classes"] = int64_t{2};
  EXPECT_EQ(bert_tensor_name("embeddings.word_embeddings.weight", embedder), "token_embd.weight");
  EXPECT_EQ(bert_tensor_name("bert.encoder.layer.11.attention.self.query.bias", embedder), "blk.11.attn_q.bias");
  EXPECT_EQ(bert_tensor_name("encoder.layer.0.output.LayerNorm.gamma", embedder), "blk.0.layer_output_norm.weight");
  EXPECT_EQ(bert_tensor_name("embeddings.position_ids", embedder), "");
  EXPECT_EQ(bert_tensor_name("pooler.dense.weight", embedder), "") << "an embedder does not use it";
  EXPECT_EQ(bert_tensor_name("bert.pooler.dense.weight", classifier), "cls.weight");
  EXPECT_EQ(bert_tensor_name("classifier.weight", classifier), "cls.output.weight");
  EXPECT_EQ(bert_tensor_name("roberta.classifier.dense.weight", classifier), "cls.weight");
  EXPECT_EQ(bert_tensor_name("distilbert.transformer.layer.3.ffn.lin1.weight", distil), "blk.3.ffn_up.weight");
  EXPECT_EQ(bert_tensor_name("pre_classifier.bias", distil), "cls.bias");
  for (const char* unknown : {"encoder.layer.x.output.dense.weight", "encoder.layer.0.crossattention.self.query.weight", "weight", "encoder.layer.0.output.dense", "encoder.layer..a.weight"})
    EXPECT_EQ(bert_tensor_name(unknown, embedder), std::nullopt) << unknown;
}

}  // namespace
}  // namespace verge::engine
