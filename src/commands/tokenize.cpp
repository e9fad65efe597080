#include "commands/tokenize.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/models/open.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tokenizers/unicode.h"
#include "support/json.h"
#include "support/limits.h"
#include "support/utf8.h"
#include "worker/confine.h"

namespace verge::commands {
namespace {

struct Options {
  std::string path;
  bool no_special = false;
  bool decode = false;
  bool json = false;
};

Result<std::string> read_input() {
  std::string text;
  char block[64 << 10];
  while (size_t n = std::fread(block, 1, sizeof block, stdin)) {
    text.append(block, n);
    if (text.size() > limits::kBodyBytes) return fail(Code::TooLarge, "more than {} bytes on standard input", limits::kBodyBytes);
  }
  if (std::ferror(stdin)) return fail(Code::Io, "standard input can't be read");
  return text;
}

// Ids in text form, separated by anything that is no digit.
Result<std::vector<int32_t>> parse_ids(const std::string& text, int32_t vocabulary) {
  std::vector<int32_t> ids;
  int64_t id = -1;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] >= '0' && text[i] <= '9') {
      id = (id < 0 ? 0 : id * 10) + (text[i] - '0');
      if (id >= vocabulary) return fail(Code::InvalidInput, "id {} and up: the vocabulary has {} tokens", id, vocabulary);
    } else if (id >= 0) {
      ids.push_back(static_cast<int32_t>(id));
      id = -1;
    }
  }
  return ids;
}

Result<void> run(const Options& options) {
  worker::HostOptions host;
  host.path = options.path;
  VERGE_TRY(worker::confine_command(host));
  VERGE_ASSIGN(file, engine::open_model_file(options.path));
  VERGE_ASSIGN(tokenizer, engine::make_tokenizer(*file));
  VERGE_ASSIGN(input, read_input());
  if (options.decode) {
    VERGE_ASSIGN(ids, parse_ids(input, tokenizer->vocabulary()));
    std::string text = tokenizer->decode(ids, !options.no_special);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  std::vector<int32_t> ids = tokenizer->encode(input, {.add_special = !options.no_special, .parse_special = !options.no_special});
  if (options.json) {
    json::array tokens;
    for (int32_t id : ids) tokens.push_back(json::object{{"id", id}, {"piece", lossy_utf8(tokenizer->piece(id, true))}});
    std::printf("%s\n", json::serialize(tokens).c_str());
    return {};
  }
  std::string line;
  for (int32_t id : ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  std::printf("%s\n", line.c_str());
  return {};
}

}  // namespace

int tokenize(int argc, char** argv) {
  CLI::App app("Read a text on standard input and print its token ids, separated by spaces.", argv[0]);
  Options options;
  app.add_option("PATH", options.path, "A GGUF file or a folder in the hub's layout")->required();
  app.add_flag(
      "--no-special", options.no_special,
      "Plain text: add no beginning or end token, and read \"<|im_end|>\" and its like as text (with --decode: leave such tokens out)");
  auto* decode = app.add_flag("--decode", options.decode, "The reverse: read ids, print the text");
  app.add_flag("--json", options.json, "Print [{\"id\", \"piece\"}]")->excludes(decode);
  CLI11_PARSE(app, argc, argv);
  if (auto done = run(options); !done) {
    std::fprintf(stderr, "verge tokenize: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}

}  // namespace verge::commands
