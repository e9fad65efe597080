// Ids and decoded texts of small tokenizers of every kind, as the reference libraries (tokenizers, sentencepiece)
// give them: scripts/make_tokenizer_reference.py.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/unicode.h"
#include "support/json.h"
#include "support/utf8.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(verge::test_data_folder()) / "tokenizers/reference";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

json::value parse(const std::string& text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value);
  return value ? std::move(*value) : json::value();
}

std::vector<int32_t> ids_of(const json::value& list) {
  std::vector<int32_t> ids;
  for (const json::value& id : list.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

TEST(TokenizerJson, IdsAndTextsAreTheReferences) {
  size_t checked = 0;
  const json::value entries = parse(read(kFolder / "tokenizer_json.json"));
  for (const json::value& entry : entries.as_array()) {
    const std::string name(entry.at("name").as_string());
    SCOPED_TRACE(name);
    ModelFile file;
    file.format = "hub";
    file.tokenizer_json = json::serialize(entry.at("tokenizer"));
    auto made = make_tokenizer(file);
    ASSERT_TRUE(made) << made.error().message;
    const Tokenizer& tokenizer = **made;
    for (const json::value& item : entry.at("cases").as_array()) {
      const std::string text(item.at("text").as_string());
      const auto ids = ids_of(item.at("ids"));
      EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), ids) << text;
      EXPECT_EQ(tokenizer.encode(text, {}), ids_of(item.at("special_ids"))) << text;
      // CLIP's word ends: whether a token's space is the text's last can't be known token by token.
      if (name != "bpe_clip") {
        EXPECT_EQ(lossy_utf8(tokenizer.decode(ids, true)), std::string_view(item.at("decoded").as_string())) << text;
      }
      ++checked;
    }
  }
  EXPECT_GE(checked, 600u);
}

TEST(TokenizerModel, IdsAndTextsAreTheReferences) {
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".model") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++files;
    ModelFile file;
    file.format = "hub";
    file.tokenizer_model = read(entry.path());
    auto made = make_tokenizer(file);
    ASSERT_TRUE(made) << made.error().message;
    const json::value cases = parse(read(entry.path().string() + ".json"));
    for (const json::value& item : cases.as_array()) {
      const std::string text(item.at("text").as_string());
      const auto ids = ids_of(item.at("ids"));
      EXPECT_EQ((*made)->encode(text, {.add_special = false, .parse_special = false}), ids) << text;
      // A U+2581 of the text itself can't be told from a space any more; the library drops it at the start.
      if (item.at("decoded").is_string() && text.find(kSpaceSymbol) == std::string::npos) {
        EXPECT_EQ(lossy_utf8((*made)->decode(ids)), std::string_view(item.at("decoded").as_string())) << text;
      }
    }
  }
  EXPECT_EQ(files, 8u);
}

}  // namespace
}  // namespace verge::engine
