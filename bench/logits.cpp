// The next-token logits of a model over a text, for bench/divergence.py.
//   logits PATH [--weights native|f32] [--kv-type f16|bf16|f32] < TOKENS > LOGITS
// TOKENS are ids in text, separated by white space; LOGITS are raw f32, [tokens][vocabulary].
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "support/limits.h"
#include "worker/host.h"

using namespace verge;

int main(int argc, char** argv) {
  worker::HostOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--") && i + 1 == argc) return std::fprintf(stderr, "logits: %s wants a value\n", argv[i]), 2;
    if (argument == "--weights" || argument == "--kv-type") {
      const std::string value = argv[++i];
      const auto precision = worker::precision_from(argument == "--weights" ? value : "native");
      const auto kv_type = worker::kv_type_from(argument == "--kv-type" ? value : "f16");
      if (!precision || !kv_type) return std::fprintf(stderr, "logits: %s can't be %s\n", argument.c_str(), value.c_str()), 2;
      if (argument == "--weights") options.precision = *precision;
      if (argument == "--kv-type") options.kv_type = *kv_type;
    } else {
      options.path = argument;
    }
  }
  auto host = worker::open_host(options);
  if (!host) return std::fprintf(stderr, "logits: %s\n", host.error().message.c_str()), 1;
  const auto vocabulary = static_cast<size_t>((*host)->model.model->info().vocabulary);

  std::vector<int32_t> tokens;
  for (int32_t token; std::cin >> token;) {
    if (token < 0 || static_cast<size_t>(token) >= vocabulary) return std::fprintf(stderr, "logits: no token %d\n", token), 1;
    tokens.push_back(token);
  }
  const size_t page = limits::kPageTokens;
  std::vector<int32_t> pages((tokens.size() + page - 1) / page);
  std::iota(pages.begin(), pages.end(), 0);
  if (tokens.size() > static_cast<size_t>((*host)->context_tokens) || pages.size() > static_cast<size_t>((*host)->cache->pages)) {
    return std::fprintf(stderr, "logits: %zu tokens don't fit\n", tokens.size()), 1;
  }
  constexpr size_t kStep = 128;  // rows of logits in memory at once
  std::vector<float> logits(kStep * vocabulary);
  for (size_t at = 0; at < tokens.size(); at += kStep) {
    const size_t count = std::min(kStep, tokens.size() - at);
    const engine::StepSequence step{std::span(tokens).subspan(at, count), static_cast<int>(at), pages, static_cast<int>(count)};
    (*host)->model.model->forward({&step, 1}, *(*host)->cache, logits.data());
    if (std::fwrite(logits.data(), sizeof(float) * vocabulary, count, stdout) != count) return std::perror("logits"), 1;
  }
  return 0;
}
