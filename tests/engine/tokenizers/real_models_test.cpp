// The ids that three released models' tokenizers give, chat prompts included. SmolLM2's vocabulary is in
// tests/data; the others' run where the models are installed ($VERGE_MODELS).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/json.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

fs::path models_folder() {
  if (const char* folder = std::getenv("VERGE_MODELS")) return folder;
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return fs::path(cache) / "verge/models";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "") / ".cache/verge/models";
}

// The first GGUF file whose path holds `part`, below the models folder.
fs::path installed(const std::string& part) {
  std::error_code ec;
  for (fs::recursive_directory_iterator it(models_folder(), ec), end; !ec && it != end; it.increment(ec)) {
    std::string path = it->path().string();
    if (it->path().extension() == ".gguf" && path.find(part) != std::string::npos) return it->path();
  }
  return {};
}

void check(const fs::path& model, const std::string& expected) {
  std::ifstream stream(fs::path(verge::test_data_folder()) / "expected" / expected);
  std::stringstream text;
  text << stream.rdbuf();
  auto document = parse_json(text.str());
  ASSERT_TRUE(document) << document.error().message;
  auto file = open_container(model.string());
  ASSERT_TRUE(file) << file.error().message;
  auto made = make_tokenizer(**file);
  ASSERT_TRUE(made) << made.error().message;
  auto compare = [&](std::string_view input, const json::value& want, const EncodeOptions& options) {
    std::vector<int32_t> ids;
    for (const json::value& id : want.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
    EXPECT_EQ((*made)->encode(input, options), ids) << input;
    EXPECT_EQ((*made)->decode(ids, true),
              options.add_special && (*made)->adds_bos() ? (*made)->piece(ids[0], true) + std::string(input) : input);
  };
  const json::object& root = document->as_object();
  for (const json::value& item : root.at("tokenize").as_array()) compare(item.at("text").as_string(), item.at("ids"), {});
  if (!root.contains("chat_template")) return;
  for (const json::value& item : root.at("chat_template").as_array()) {
    if (item.as_object().contains("prompt") && item.as_object().contains("ids")) {
      compare(item.at("prompt").as_string(), item.at("ids"), {.add_special = false});
    }
  }
}

TEST(RealModels, SmolLm2) { check(fs::path(verge::test_data_folder()) / "tokenizers/vocab-smollm2.gguf", "smollm2-135m.json"); }

TEST(RealModels, Qwen25Coder) {
  fs::path model = installed("qwen2.5-coder-0.5b");
  if (model.empty()) GTEST_SKIP() << "not installed";
  check(model, "qwen2.5-coder-0.5b.json");
}

TEST(RealModels, Gemma3) {
  fs::path model = installed("gemma-3-270m");
  if (model.empty()) GTEST_SKIP() << "not installed";
  check(model, "gemma-3-270m.json");
}

}  // namespace
}  // namespace verge::engine
