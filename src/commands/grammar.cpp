#include "commands/grammar.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "engine/models/open.h"
#include "engine/grammar/grammar.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/json.h"
#include "support/random.h"
#include "worker/confine.h"

namespace verge::commands {
namespace {

namespace grammar_ = engine::grammar;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Judge {
  const engine::Tokenizer& tokenizer;
  const grammar_::TokenBytes& tokens;

  // One case: {"id", "schema", "regex", "choice" or "gbnf", "instances", "walks": how many texts to make}. `reached`: how many bytes of each were admitted.
  json::object judge(const json::object& request) const {
    json::object out;
    if (const json::value* id = request.if_contains("id")) out["id"] = *id;
    const int64_t begin = now_ns();
    grammar_::SourceKind kind = grammar_::SourceKind::JsonSchema;
    std::string source;
    if (const json::value* schema = request.if_contains("schema")) {
      source = json::serialize(*schema);
    } else if (const auto regex = get_string(request, "regex")) {
      kind = grammar_::SourceKind::Regex;
      source = *regex;
    } else if (const auto gbnf = get_string(request, "gbnf")) {
      kind = grammar_::SourceKind::Gbnf;
      source = *gbnf;
    } else if (const json::value* choice = request.if_contains("choice")) {
      kind = grammar_::SourceKind::Choice;
      source = json::serialize(*choice);
    }
    auto compiled = grammar_::Grammar::compile(kind, source, tokens);
    if (!compiled) {
      out["refused"] = compiled.error().message;
      return out;
    }
    grammar_::Grammar& g = **compiled;
    g.mask(g.start(false));
    out["compile_us"] = static_cast<double>(now_ns() - begin) / 1e3;  // to the first mask
    json::array accepted, mask_us, reached;
    if (const json::array* instances = get_array(request, "instances")) {
      for (const json::value& instance : *instances) {
        size_t bytes = 0;
        accepted.push_back(instance.is_string() && admitted(g, std::string_view(instance.get_string()), bytes, mask_us));
        reached.push_back(bytes);
      }
    }
    if (const auto count = get_int(request, "walks")) {
      json::array texts;
      for (int64_t i = 0; i < std::min<int64_t>(*count, 1000); ++i) texts.push_back(walk(g, static_cast<uint64_t>(i)));
      out["walks"] = std::move(texts);
    }
    out["accepted"] = std::move(accepted);
    out["reached"] = std::move(reached);
    out["mask_us"] = std::move(mask_us);
    return out;
  }

  // A text that masks alone lead to, by draws that like to end; null where it is not ended within a bound.
  json::value walk(grammar_::Grammar& g, uint64_t seed) const {
    constexpr int kTokens = 3000;
    grammar_::Matcher at = g.start(false);
    std::string text;
    for (int i = 0; i < kTokens; ++i) {
      const auto mask = g.mask(at);
      std::vector<int32_t> all, closing;
      for (int32_t id = 0; id < tokens.rows(); ++id) {
        if (!grammar_::admits(*mask, id)) continue;
        all.push_back(id);
        const std::string_view bytes = tokens.bytes(id);
        if (tokens.is_stop(id) || (bytes.size() == 1 && std::string_view("\"}],:").find(bytes[0]) != std::string_view::npos)) closing.push_back(id);
      }
      if (all.empty()) return json::value(text + "<no token>");  // a defect of the grammar: a place without a way on
      const uint64_t draw = random_at(seed, static_cast<uint64_t>(i));
      const std::vector<int32_t>& from = !closing.empty() && draw % 100 < (i < 200 ? 40 : 95) ? closing : all;
      const int32_t id = from[(draw >> 8) % from.size()];
      if (!g.advance(at, id)) return json::value(text + "<admitted and refused>");
      if (tokens.is_stop(id)) return json::value(text);
      text += tokens.bytes(id);
    }
    return nullptr;
  }

  bool admitted(grammar_::Grammar& g, std::string_view text, size_t& reached, json::array& mask_us) const {
    grammar_::Matcher at = g.start(false);
    for (int32_t id : tokenizer.encode(text, {.add_special = false, .parse_special = false})) {
      const int64_t begin = now_ns();
      const auto mask = g.mask(at);
      mask_us.push_back(static_cast<double>(now_ns() - begin) / 1e3);
      if (!grammar_::admits(*mask, id) || !g.advance(at, id)) return false;
      reached += tokens.bytes(id).size();
    }
    return g.complete(at);
  }
};

Result<void> run(const std::string& path) {
  worker::HostOptions host;
  host.path = path;
  VERGE_TRY(worker::confine_command(host));
  VERGE_ASSIGN(file, engine::open_model_file(path));
  VERGE_ASSIGN(tokenizer, engine::make_tokenizer(*file));
  const grammar_::TokenBytes tokens(*tokenizer, file->stop_ids, tokenizer->vocabulary());
  const Judge judge{*tokenizer, tokens};
  std::string line;
  constexpr size_t kDepth = 2500;  // deeper than any schema that is taken, so that it is the schema which is refused
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    json::object answer;
    Result<json::value> request = parse_json(line, kDepth);
    if (!request || !request->is_object()) answer["refused"] = request ? "a line must be an object" : request.error().message;
    else answer = judge.judge(request->get_object());
    const std::string text = json::serialize(answer) + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int grammar(int argc, char** argv) {
  CLI::App app(
      "Judge texts by schemas, token by token as decoding would. A line of standard input is\n"
      "{\"id\", \"schema\" (or \"regex\", \"choice\", \"gbnf\"), \"instances\": [text, …]}; the answer is {\"id\", \"refused\": why} or\n"
      "{\"id\", \"accepted\": [bool, …], \"reached\": [bytes, …], \"compile_us\", \"mask_us\": [µs, …]}.",
      argv[0]);
  std::string path;
  app.add_option("PATH", path, "A GGUF file or a folder in the hub's layout: its tokenizer is used")->required();
  CLI11_PARSE(app, argc, argv);
  if (auto done = run(path); !done) {
    std::fprintf(stderr, "verge grammar: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}

}  // namespace verge::commands
