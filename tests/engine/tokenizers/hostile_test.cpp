// Tokenizers that lie: each is refused with LoadFailed and a message that names the fault, or works; none crashes.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/unicode.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

using Strings = std::vector<std::string>;
using Integers = std::vector<int64_t>;

ModelFile gguf(const std::string& model) {
  ModelFile file;
  file.format = "gguf";
  file.meta["tokenizer.ggml.model"] = model;
  file.meta["tokenizer.ggml.tokens"] = Strings{"<unk>", "<s>", "</s>", "a", "b", "ab"};
  file.meta["tokenizer.ggml.token_type"] = Integers{2, 3, 3, 1, 1, 1};
  file.meta["tokenizer.ggml.scores"] = std::vector<double>{0, 0, 0, -3, -3, -1};
  if (model == "gpt2") {
    file.meta["tokenizer.ggml.pre"] = "gpt-2";
    file.meta["tokenizer.ggml.merges"] = Strings{"a b"};
  }
  return file;
}

std::string refusal(const ModelFile& file) {
  auto made = make_tokenizer(file);
  if (made) return "accepted";
  EXPECT_EQ(made.error().code, Code::LoadFailed);
  return made.error().message;
}

#define EXPECT_NAMES(file, part) EXPECT_NE(refusal(file).find(part), std::string::npos) << refusal(file)

TEST(HostileGguf, TheBasesAreFine) {
  for (const char* model : {"gpt2", "llama", "t5", "bert"}) EXPECT_EQ(refusal(gguf(model)), "accepted") << model;
}

TEST(HostileGguf, UnknownKindsAreNamed) {
  EXPECT_NAMES(gguf("rwkv"), "rwkv");
  ModelFile file = gguf("gpt2");
  file.meta["tokenizer.ggml.pre"] = "brand-new";
  EXPECT_NAMES(file, "brand-new");
  EXPECT_NAMES(ModelFile{}, "tokenizer.ggml.model");
  ModelFile hub;
  hub.format = "hub";
  EXPECT_NAMES(hub, "tokenizer.json");
}

TEST(HostileGguf, ListsThatDoNotFit) {
  ModelFile file = gguf("llama");
  file.meta["tokenizer.ggml.scores"] = std::vector<double>{0};
  EXPECT_NAMES(file, "scores");
  file = gguf("llama");
  file.meta["tokenizer.ggml.token_type"] = Integers{1};
  EXPECT_NAMES(file, "token_type");
  file = gguf("llama");
  file.meta["tokenizer.ggml.tokens"] = Strings{};
  EXPECT_NAMES(file, "tokens");
  file = gguf("llama");
  file.meta["tokenizer.ggml.tokens"] = Strings{"a", "b", "c", "d", "a", "e"};
  EXPECT_NAMES(file, "0 and 4");
  file = gguf("llama");
  file.meta["tokenizer.ggml.scores"] = std::vector<double>(6, std::numeric_limits<double>::quiet_NaN());
  EXPECT_NAMES(file, "not a number");
  file = gguf("gpt2");
  file.meta.erase("tokenizer.ggml.merges");
  EXPECT_NAMES(file, "merges");
  file = gguf("gpt2");
  file.meta["tokenizer.ggml.merges"] = Strings{"a zzz"};
  EXPECT_EQ(refusal(file), "accepted");
}

TEST(HostileGguf, SpecialIdsPastTheVocabulary) {
  for (const char* key : {"bos_token_id", "eos_token_id", "unknown_token_id"}) {
    for (int64_t id : {int64_t{6}, int64_t{-1}, int64_t{1} << 40}) {
      ModelFile file = gguf("llama");
      file.meta[std::string("tokenizer.ggml.") + key] = id;
      EXPECT_NAMES(file, key);
    }
  }
}

TEST(HostileGguf, IdsOutOfRangeAreNoText) {
  ModelFile file = gguf("llama");
  auto made = make_tokenizer(file);
  ASSERT_TRUE(made);
  for (int32_t id : {-1, 6, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ((*made)->piece(id, true), "");
    EXPECT_FALSE((*made)->is_control(id));
  }
  EXPECT_EQ((*made)->decode({-5, 3, 99}), "a");
}

ModelFile hub(std::string text) {
  ModelFile file;
  file.format = "hub";
  file.tokenizer_json = std::move(text);
  return file;
}

std::string with(const std::string& parts) {
  return R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})" + parts + "}";
}

TEST(HostileJson, UnknownComponentsAreNamed) {
  EXPECT_EQ(refusal(hub(with(""))), "accepted");
  EXPECT_NAMES(hub(with(R"(,"normalizer":{"type":"Sparkle"})")), "normalizer \"Sparkle\"");
  EXPECT_NAMES(hub(with(R"(,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Glow"}]})")), "Glow");
  EXPECT_NAMES(hub(with(R"(,"pre_tokenizer":{"type":"Chop"})")), "pre-tokenizer \"Chop\"");
  EXPECT_NAMES(hub(with(R"(,"post_processor":{"type":"Bow"})")), "post-processor \"Bow\"");
  EXPECT_NAMES(hub(with(R"(,"decoder":{"type":"Guess"})")), "decoder \"Guess\"");
  EXPECT_NAMES(hub(R"({"model":{"type":"Magic","vocab":{"a":0}}})"), "Magic");
  EXPECT_NAMES(hub(with(R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(["},"behavior":"Isolated"})")), "([");
  EXPECT_NAMES(hub(with(R"(,"pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"Shredded"})")), "Shredded");
}

TEST(HostileJson, ListsThatDoNotFit) {
  EXPECT_NAMES(hub("{"), "tokenizer.json");
  EXPECT_NAMES(hub("[]"), "object");
  EXPECT_NAMES(hub("{}"), "model");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE"}})"), "vocab");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})"), "-1");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":9999999999},"merges":[]}})"), "9999999999");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":1,"b":1},"merges":[]}})"), "same id 1");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":"x"},"merges":[]}})"), "vocabulary");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a z"]}})"), "z");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})"), "merge 0");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})"), "merge 0");
  EXPECT_NAMES(hub(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}})"), "unk_token");
  EXPECT_NAMES(hub(R"({"model":{"type":"Unigram","vocab":[["a",0]],"unk_id":7}})"), "unk_id");
  EXPECT_NAMES(hub(R"({"model":{"type":"Unigram","vocab":[["a"]]}})"), "piece 0");
  EXPECT_NAMES(hub(with(R"(,"added_tokens":[{"id":-4,"content":"x"}])")), "added token");
  EXPECT_NAMES(hub(with(R"(,"added_tokens":[{"id":0,"content":"x"}])")), "same id 0");
  EXPECT_NAMES(hub(with(R"(,"added_tokens":[{"id":77,"content":"a"}])")), "0 and 77");
  EXPECT_NAMES(hub(with(R"(,"post_processor":{"type":"BertProcessing","sep":["x",99],"cls":["y",0]})")), "99");
  EXPECT_NAMES(hub(with(R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":"!!"})")), "base64");
  EXPECT_NAMES(hub(with(R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":"////"})")), "character map");
}

TEST(HostileJson, AHoleInTheIdsIsNoToken) {
  auto made = make_tokenizer(hub(R"({"model":{"type":"BPE","vocab":{"a":0,"b":9},"merges":[]}})"));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->vocabulary(), 10);
  EXPECT_EQ((*made)->find(""), -1);
  EXPECT_EQ((*made)->encode("ab", {}), (std::vector<int32_t>{0, 9}));
}

TEST(HostileModel, DamageIsFoundOrHarmless) {
  std::ifstream stream(std::string(verge::test_data_folder()) + "/tokenizers/reference/unigram_bytes.model", std::ios::binary);
  std::stringstream bytes;
  bytes << stream.rdbuf();
  const std::string good = bytes.str();
  auto make = [](std::string content) {
    ModelFile file;
    file.format = "hub";
    file.tokenizer_model = std::move(content);
    return make_tokenizer(file);
  };
  ASSERT_TRUE(make(good));
  EXPECT_FALSE(make("IQ== 0\nIg== 1\n"));  // tiktoken's format
  for (size_t length = 1; length < good.size(); length += 97) {
    if (auto made = make(good.substr(0, length))) (*made)->encode("Hello, world", {});
  }
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int i = 0; i < 4; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    if (auto made = make(bad)) (*made)->decode((*made)->encode("Hello, <tool> foo \xFF world", {}), true);
  }
}

TEST(HostileText, AnyBytesAreEncodedAndByteVocabulariesKeepThem) {
  std::mt19937 random(11);
  for (const char* name : {"gpt-2", "falcon", "llama-spm", "bert-bge", "starcoder"}) {
    auto file = open_container(std::string(verge::test_data_folder()) + "/tokenizers/ggml-vocab-" + name + ".gguf");
    ASSERT_TRUE(file) << file.error().message;
    auto made = make_tokenizer(**file);
    ASSERT_TRUE(made) << made.error().message;
    for (int round = 0; round < 200; ++round) {
      std::string text;
      for (size_t i = random() % 40; i > 0; --i) text.push_back(static_cast<char>(random() % 4 ? random() : 32 + random() % 95));
      auto ids = (*made)->encode(text, {.add_special = false, .parse_special = false});
      for (int32_t id : ids) ASSERT_TRUE(id >= 0 && id < (*made)->vocabulary());
      std::string decoded = (*made)->decode(ids);
      if (std::string(name) == "gpt-2" || std::string(name) == "llama-spm") { EXPECT_EQ(decoded, text) << name; }
    }
  }
}

TEST(HostileText, LongWithoutAWordEnd) {
  for (const char* name : {"gpt-2", "llama-spm", "bert-bge", "deepseek-llm"}) {
    auto file = open_container(std::string(verge::test_data_folder()) + "/tokenizers/ggml-vocab-" + name + ".gguf");
    ASSERT_TRUE(file);
    auto made = make_tokenizer(**file);
    ASSERT_TRUE(made);
    for (std::string_view unit : {"a", " ", "ab1", "\xE4\xBD\xA0", "\xFF", "\xE2\x96\x81"}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      auto ids = (*made)->encode(text, {});
      EXPECT_LE(ids.size(), text.size() + 2) << name;
    }
  }
}

}  // namespace
}  // namespace verge::engine
