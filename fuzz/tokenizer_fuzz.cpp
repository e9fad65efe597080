// Tokenizer files of every kind, and texts. The first byte chooses: tokenizer.json, tokenizer.model, the metadata
// of a GGUF file (built from lines), or a text for fixed tokenizers.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/pretokenize.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/log.h"

namespace {

using namespace verge::engine;

void require(bool held) {
  if (!held) std::abort();
}

// Ids stay in range, and the pieces join to the decoded text but for a space at its start.
void exercise(const Tokenizer& tokenizer, std::string_view text) {
  for (bool special : {false, true}) {
    auto ids = tokenizer.encode(text, {.add_special = special, .parse_special = special});
    std::string joined;
    for (int32_t id : ids) {
      require(id >= 0 && id < tokenizer.vocabulary());
      joined += tokenizer.piece(id, true);
    }
    std::string decoded = tokenizer.decode(ids, true);
    require(joined == decoded || joined == " " + decoded);
  }
}

void try_file(const ModelFile& file) {
  auto made = make_tokenizer(file);
  if (!made) return require(made.error().code == verge::Code::LoadFailed);
  exercise(**made, "Hello <s> world 123\xFF \xE4\xBD\xA0</s>  \xE2\x96\x81");
  exercise(**made, (*made)->piece((*made)->vocabulary() - 1, true));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// Lines: model, pre-tokenizer, then tokens ("kind text") and, where they hold a tab, merges ("left\tright").
ModelFile gguf_of(std::string_view text) {
  ModelFile file;
  file.format = "gguf";
  auto lines = lines_of(text);
  std::vector<std::string> tokens, merges;
  std::vector<int64_t> kinds;
  std::vector<double> scores;
  for (size_t i = 2; i < lines.size(); ++i) {
    if (size_t tab = lines[i].find('\t'); tab != std::string::npos) {
      lines[i][tab] = ' ';
      merges.push_back(lines[i]);
    } else if (!lines[i].empty()) {
      kinds.push_back(lines[i][0] - '0');
      tokens.push_back(lines[i].substr(1));
      scores.push_back(-static_cast<double>(i % 17));
    }
  }
  if (lines.size() > 1) {
    file.meta["tokenizer.ggml.model"] = lines[0];
    file.meta["tokenizer.ggml.pre"] = lines[1];
  }
  file.meta["tokenizer.ggml.tokens"] = tokens;
  file.meta["tokenizer.ggml.token_type"] = kinds;
  file.meta["tokenizer.ggml.scores"] = scores;
  file.meta["tokenizer.ggml.merges"] = merges;
  file.meta["tokenizer.ggml.bos_token_id"] = int64_t{0};
  file.meta["tokenizer.ggml.unknown_token_id"] = int64_t{0};
  return file;
}

const std::vector<std::unique_ptr<Tokenizer>>& fixed_tokenizers() {
  static const auto list = [] {
    std::vector<std::unique_ptr<Tokenizer>> made;
    const std::string tokens =
        "3<s>\n4<user>\n4  \n1a\n1b\n1ab\n1\xE2\x96\x81\n1\xE2\x96\x81"
        "a\n1\xC4\xA0\n1\xC4\xA0"
        "a\n6<0x41>\na\tb\n\xC4\xA0\ta\n";
    for (const char* head : {"gpt2\ngpt-4o\n", "gpt2\ndeepseek-llm\n", "gpt2\ngemma4\n", "llama\n\n", "t5\n\n", "bert\n\n"}) {
      auto tokenizer = make_tokenizer(gguf_of(head + tokens));
      require(tokenizer.ok());
      made.push_back(std::move(*tokenizer));
    }
    return made;
  }();
  return list;
}

void split_by_every_rule(std::string_view text) {
  static const auto splitters = [] {
    std::vector<std::unique_ptr<Splitter>> made;
    for (const char* name : {"default", "llama3", "deepseek-llm", "deepseek-v3", "gpt-4o", "kimi-k2", "exaone-moe", "superbpe", "viking"}) {
      auto splitter = make_splitter(*find_pre_tokenizer(name));
      require(splitter.ok());
      made.push_back(std::move(*splitter));
    }
    return made;
  }();
  for (const auto& splitter : splitters) {
    Words words;
    words.list = {text};
    splitter->apply(&words);
    std::string joined;
    for (std::string_view word : words.list) joined += word;
    require(joined == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  verge::log::configure(verge::log::Level::Off, verge::log::Format::Text, "fuzz");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  ModelFile file;
  file.format = "hub";
  switch (data[0] % 4) {
    case 0:
      file.tokenizer_json = input;
      try_file(file);
      break;
    case 1:
      file.tokenizer_model = input;
      try_file(file);
      break;
    case 2: try_file(gguf_of(input)); break;
    default:
      for (const auto& tokenizer : fixed_tokenizers()) exercise(*tokenizer, input);
      split_by_every_rule(input);
  }
  return 0;
}
