#include "commands/bench_encoder.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "engine/open.h"
#include "support/clock.h"
#include "support/random.h"

namespace verge::commands {
namespace {

constexpr int kSequences[] = {1, 8, 32};
constexpr int kTokens[] = {32, 128, 512};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void print(const EncoderBench& options, const engine::Backend& backend, const char* test, int tokens, int sequences, double ms) {
  const double rate = test == std::string_view("load") ? 0 : sequences * 1000 / ms;
  if (options.json)
    fmt::print(R"({{"test":"{}","tokens":{},"sequences":{},"tokens_per_s":{:.2f},"sequences_per_s":{:.2f},"p50_ms":{:.4f},"engine":"{}","threads":{}}})" "\n", test,
               tokens, sequences, rate * tokens, rate, ms, backend.name(), backend.threads());
  else fmt::print("{:<8} {:>8} {:>10} {:>12.1f} {:>12.1f} {:>10.3f}\n", test, tokens, sequences, rate * tokens, rate, ms);
  std::fflush(stdout);
}

}  // namespace

int bench_encoder(const EncoderBench& options) {
  const int64_t start = monotonic_us();
  auto backend = engine::make_cpu_backend({options.threads, ""});
  auto encoder = backend ? engine::open_as<engine::LoadedEncoder>(options.path, **backend, {options.precision, {}, {}}) : Result<engine::LoadedEncoder>(backend.error());
  if (!encoder) {
    std::fprintf(stderr, "verge bench: %s\n", encoder.error().message.c_str());
    return 1;
  }
  const engine::EncoderInfo& info = encoder->model->info();
  if (!options.json) fmt::print("{}, {} threads\n{:<8} {:>8} {:>10} {:>12} {:>12} {:>10}\n", (*backend)->name(), (*backend)->threads(), "TEST", "TOKENS", "SEQUENCES", "TOKENS/S", "SEQUENCES/S", "P50 MS");
  print(options, **backend, "load", 0, 0, static_cast<double>(monotonic_us() - start) / 1000);
  for (int tokens : kTokens) {
    if (tokens > info.context_tokens) continue;
    for (int sequences : kSequences) {
      std::vector<int32_t> ids(static_cast<size_t>(tokens * sequences));
      for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(random_at(7, i) % static_cast<uint64_t>(info.vocabulary));
      std::vector<engine::EncoderText> texts;
      for (int s = 0; s < sequences; ++s) texts.push_back({std::span(ids).subspan(static_cast<size_t>(s * tokens), static_cast<size_t>(tokens)), 0});
      std::vector<float> hidden(ids.size() * static_cast<size_t>(info.width)), vector(static_cast<size_t>(info.width));
      std::vector<double> times;
      for (int run = 0; run <= options.repeat; ++run) {
        const int64_t begin = monotonic_us();
        encoder->model->encode(texts, hidden.data());
        for (int s = 0; s < sequences; ++s)
          engine::pool(hidden.data() + static_cast<int64_t>(s) * tokens * info.width, tokens, info.width, encoder->pooling, encoder->normalize, vector.data());
        if (run > 0) times.push_back(static_cast<double>(monotonic_us() - begin) / 1000);
      }
      print(options, **backend, "encode", tokens, sequences, median(times));
    }
  }
  return 0;
}

}  // namespace verge::commands
