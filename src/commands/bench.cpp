// `verge bench PATH`: speed of a model on this machine, measured where the worker runs it: at
// LanguageModel::forward. One line a test, JSON with --json:
//   load     open, check, pack, one token                        p50_ms = the time
//   prefill  a prompt of `tokens`, in steps of the batch's size  tokens/s of the prompt
//   decode   one sequence, `tokens` steps after a short context  p50_ms of a step
//   batch    `sequences` together, `tokens` steps each after 16 tokens of context; tokens/s of all
//   memory   the process at its largest                          peak_mib
// Text encoders and image models have tests of their own, see bench_encoder.h and bench_image.h.
// Tokens are pseudo-random and nothing is sampled, as in llama-bench and llama-batched-bench, so that
// figures can be laid side by side. Each test runs once to warm up, then `--repeat` times; medians.
//
// --null-engine leaves the model out and measures the rest of the worker's path instead: requests
// through the service (queue, batch, pages, sampling, text), `sequences` at a time.
#include "commands/bench.h"

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "commands/bench_encoder.h"
#include "commands/bench_image.h"
#include "engine/task_of.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/random.h"
#include "support/spawn.h"
#include "worker/confine.h"
#include "worker/text_service.h"

namespace verge::commands {
namespace {

using worker::Host;

struct Options {
  std::string path;
  bool json = false, null_engine = false;
  int threads = 0, repeat = 3;
  std::vector<int> prefill{512};
  int decode = 48;
  int depth = 16;                      // context before the decode test
  std::vector<int> sequences{8, 16, 32};
  std::string kv_type = "f16", weights = "native";
  std::vector<std::string> tests{"load", "prefill", "decode", "batch"};
  bool wants(const char* test) const { return std::ranges::find(tests, test) != tests.end(); }
};

constexpr int kBatchContext = 16;      // as llama-batched-bench -npp 16
constexpr int kBatchSteps = 16;        // and -ntg 16

struct Figure {
  const char* test;
  int tokens = 0, sequences = 1;
  double tokens_per_s = 0, p50_ms = 0;
  double gbytes_per_s = 0;             // weights read; 0 = says nothing here
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Printer {
 public:
  Printer(bool as_json, std::string engine, int threads) : json_(as_json), engine_(std::move(engine)), threads_(threads) {
    if (!json_) std::printf("%s, %d threads\n%-8s %8s %10s %12s %10s %8s\n", engine_.c_str(), threads_, "TEST", "TOKENS", "SEQUENCES", "TOKENS/S", "P50 MS", "GB/S");
  }
  void print(const Figure& f) const {
    if (json_) {
      const std::string bandwidth = f.gbytes_per_s > 0 ? fmt::format(R"(,"gbytes_per_s":{:.2f})", f.gbytes_per_s) : "";
      fmt::print(R"({{"test":"{}","tokens":{},"sequences":{},"tokens_per_s":{:.2f},"p50_ms":{:.4f}{},"engine":"{}","threads":{}}})" "\n", f.test, f.tokens,
                 f.sequences, f.tokens_per_s, f.p50_ms, bandwidth, engine_, threads_);
    } else {
      std::printf("%-8s %8d %10d %12.1f %10.3f %8.1f\n", f.test, f.tokens, f.sequences, f.tokens_per_s, f.p50_ms, f.gbytes_per_s);
    }
    std::fflush(stdout);
  }
  void print_memory() const {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);  // ru_maxrss is in KiB
    if (json_) {
      fmt::print(R"({{"test":"memory","tokens":0,"sequences":0,"tokens_per_s":0,"p50_ms":0,"peak_mib":{},"engine":"{}","threads":{}}})" "\n", usage.ru_maxrss >> 10, engine_, threads_);
    } else {
      std::printf("memory: %ld MiB at most\n", usage.ru_maxrss >> 10);
    }
  }

 private:
  bool json_;
  std::string engine_;
  int threads_;
};

// Sequences with page tables of their own over one cache.
class Bench {
 public:
  explicit Bench(Host& host) : host_(host), vocabulary_(static_cast<size_t>(host.model.model->info().vocabulary)) {}

  // Ms that a prompt of `tokens` takes; false where it doesn't fit.
  double prefill(int tokens) {
    begin(1, tokens);
    const auto prompt = random_tokens(tokens);
    const int64_t start = monotonic_us();
    for (int at = 0; at < tokens; at += limits::kBatchTokens) {
      const int n = std::min(limits::kBatchTokens, tokens - at);
      step_.clear();
      step_.push_back({std::span(prompt).subspan(static_cast<size_t>(at), static_cast<size_t>(n)), at, pages_[0], at + n == tokens ? 1 : 0});
      host_.model.model->forward(step_, *host_.cache, logits_.data());
    }
    return static_cast<double>(monotonic_us() - start) / 1000;
  }

  // Ms of each of `steps` decode steps of `sequences` that start with `context` tokens.
  std::vector<double> decode(int sequences, int context, int steps) {
    begin(sequences, context + steps);
    const auto tokens = random_tokens(context + steps);
    const std::span<const int32_t> all(tokens);
    for (int s = 0; s < sequences; ++s) {
      for (int at = 0; at < context; at += limits::kBatchTokens) {
        const int n = std::min(limits::kBatchTokens, context - at);
        step_.clear();
        step_.push_back({all.subspan(static_cast<size_t>(at), static_cast<size_t>(n)), at, pages_[static_cast<size_t>(s)], 0});
        host_.model.model->forward(step_, *host_.cache, logits_.data());
      }
    }
    std::vector<double> times;
    for (int i = 0; i < steps; ++i) {
      step_.clear();
      for (int s = 0; s < sequences; ++s) step_.push_back({all.subspan(static_cast<size_t>(context + i), 1), context + i, pages_[static_cast<size_t>(s)], 1});
      const int64_t start = monotonic_us();
      host_.model.model->forward(step_, *host_.cache, logits_.data());
      times.push_back(static_cast<double>(monotonic_us() - start) / 1000);
    }
    return times;
  }

  bool fits(int sequences, int tokens) const { return tokens <= host_.context_tokens && sequences * pages_for(tokens) <= host_.cache->pages; }

 private:
  static int pages_for(int tokens) { return (tokens + limits::kPageTokens - 1) / limits::kPageTokens; }

  void begin(int sequences, int tokens) {
    pages_.assign(static_cast<size_t>(sequences), {});
    int32_t next = 0;
    for (auto& table : pages_) {
      table.resize(static_cast<size_t>(pages_for(tokens)));
      std::iota(table.begin(), table.end(), next);
      next += static_cast<int32_t>(table.size());
    }
    logits_.resize(static_cast<size_t>(sequences) * vocabulary_);
  }
  std::vector<int32_t> random_tokens(int count) const {
    std::vector<int32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random_at(1, static_cast<uint64_t>(i)) % vocabulary_));
    return tokens;
  }

  Host& host_;
  size_t vocabulary_;
  std::vector<std::vector<int32_t>> pages_;
  std::vector<engine::StepSequence> step_;
  std::vector<float> logits_;
};

void bench_prefill(Bench& bench, const Options& options, const Printer& printer) {
  for (int tokens : options.prefill) {
    if (!bench.fits(1, tokens)) {
      std::fprintf(stderr, "verge bench: %d tokens are past the context window, left out\n", tokens);
      continue;
    }
    bench.prefill(tokens);
    std::vector<double> ms;
    for (int i = 0; i < options.repeat; ++i) ms.push_back(bench.prefill(tokens));
    printer.print({"prefill", tokens, 1, tokens / median(ms) * 1000, median(ms)});
  }
}

void bench_decode(Bench& bench, const Options& options, const Printer& printer, size_t bytes_per_token) {
  const auto run = [&](const char* test, int sequences, int context, int steps) {
    if (sequences > limits::kSequences || !bench.fits(sequences, context + steps)) {
      std::fprintf(stderr, "verge bench: %d sequences of %d tokens don't fit, left out\n", sequences, context + steps);
      return;
    }
    bench.decode(sequences, context, 4);
    std::vector<double> rates, steps_ms;
    for (int i = 0; i < options.repeat; ++i) {
      const auto times = bench.decode(sequences, context, steps);
      rates.push_back(sequences * steps / std::accumulate(times.begin(), times.end(), 0.0) * 1000);
      steps_ms.insert(steps_ms.end(), times.begin(), times.end());
    }
    const double rate = median(rates);
    printer.print({test, steps, sequences, rate, median(steps_ms), rate / sequences * static_cast<double>(bytes_per_token) / 1e9});
  };
  if (options.wants("decode")) run("decode", 1, options.depth, options.decode);
  if (!options.wants("batch")) return;
  for (int sequences : options.sequences) run("batch", sequences, kBatchContext, kBatchSteps);
}

// Counts what comes and keeps nothing.
class CountingSink : public protocol::EventSink {
 public:
  protocol::task<bool> put(protocol::Event event) override {
    if (std::holds_alternative<protocol::Token>(event)) ++tokens;
    if (const auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error.message;
    co_return true;
  }
  int tokens = 0;
  std::string error;
};

int bench_null(const Options& options) {
  worker::HostOptions host_options;
  host_options.path = options.path;
  host_options.null_engine = true;
  if (auto confined = worker::confine_command(host_options); !confined) return std::fprintf(stderr, "verge bench: %s\n", confined.error().message.c_str()), 1;
  auto opened = worker::open_host(host_options);
  if (!opened) return std::fprintf(stderr, "verge bench: %s\n", opened.error().message.c_str()), 1;
  Host& host = **opened;
  boost::asio::io_context io(1);
  worker::TextService service(io.get_executor(), host, {"bench", "null", {}});
  const Printer printer(options.json, "null", 0);
  std::vector<int> sequences{1};
  sequences.insert(sequences.end(), options.sequences.begin(), options.sequences.end());
  for (int n : sequences) {
    std::vector<double> ms;
    CountingSink sink;
    for (int i = 0; i <= options.repeat; ++i) {
      sink.tokens = 0;
      const int64_t start = monotonic_us();
      for (int s = 0; s < n; ++s) {
        protocol::Request request;
        request.params = {{"prompt", "measure"}, {"raw", true}, {"max_tokens", options.decode}, {"temperature", 0}, {"ignore_eos", true}};
        spawn(io.get_executor(), "an answer", [&, request = std::move(request)]() mutable { return service.run(std::move(request), sink); });
      }
      io.restart();
      run_loop(io);
      if (i > 0) ms.push_back(static_cast<double>(monotonic_us() - start) / 1000);
    }
    if (!sink.error.empty()) return std::fprintf(stderr, "verge bench: %s\n", sink.error.c_str()), 1;
    const double rate = sink.tokens / median(ms) * 1000;
    printer.print({n == 1 ? "decode" : "batch", options.decode, n, rate, median(ms) / options.decode});
  }
  return 0;
}

}  // namespace

int bench(int argc, char** argv) {
  CLI::App app("Measure a model on this machine", argv[0]);
  Options options;
  app.add_option("path", options.path, "GGUF file or model folder")->required();
  app.add_flag("--json", options.json, "Print one JSON object a line");
  app.add_option("--threads", options.threads, "Threads that compute (default: all cores)")->check(CLI::NonNegativeNumber);
  app.add_option("--tokens,--prefill", options.prefill, "Lengths of the prompts to read")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--decode", options.decode, "Steps of the decode test")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--depth", options.depth, "Tokens of context before the decode test")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--sequences", options.sequences, "Sequences of the batch tests")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--repeat", options.repeat, "Runs of each test; the median counts")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--tests", options.tests, "load, prefill, decode, batch")->delimiter(',')->check(CLI::IsMember({"load", "prefill", "decode", "batch"}));
  app.add_option("--kv-type", options.kv_type, "f16, bf16 or f32")->capture_default_str();
  app.add_option("--weights", options.weights, "native or f32")->capture_default_str();
  app.add_flag("--null-engine", options.null_engine, "Measure the path around the model, without it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  log::configure(log::Level::Warn, log::Format::Text, "bench");
  if (options.null_engine) return bench_null(options);

  worker::HostOptions host_options;
  host_options.path = options.path;
  host_options.threads = options.threads;
  const auto kv_type = worker::kv_type_from(options.kv_type);
  const auto precision = worker::precision_from(options.weights);
  if (!kv_type || !precision) {
    std::fprintf(stderr, "verge bench: %s\n", (kv_type ? precision.error() : kv_type.error()).message.c_str());
    return 2;
  }
  host_options.kv_type = *kv_type;
  host_options.precision = *precision;
  if (auto confined = worker::confine_command(host_options); !confined) {
    std::fprintf(stderr, "verge bench: %s\n", confined.error().message.c_str());
    return 1;
  }
  if (const auto task = engine::task_of(options.path); task && *task != "text-generation") {
    for (const char* flag : {"--tokens", "--decode", "--depth", "--sequences", "--tests", "--kv-type"}) {
      if (app.count(flag) == 0) continue;
      std::fprintf(stderr, "verge bench: %s is for text generation; %s is a model for %s\n", flag, options.path.c_str(), task->c_str());
      return 2;
    }
  }
  if (const auto task = engine::task_of(options.path); task && task->starts_with("text-") && *task != "text-generation")
    return bench_encoder({options.path, options.json, options.threads, options.repeat, *precision});
  if (const auto task = engine::task_of(options.path); task && (*task == "image-classification" || *task == "object-detection"))
    return bench_image({options.path, options.json, options.threads, options.repeat});
  const int64_t start = monotonic_us();
  auto host = worker::open_host(host_options);
  if (!host) {
    std::fprintf(stderr, "verge bench: %s\n", host.error().message.c_str());
    return 1;
  }
  const engine::ModelInfo& info = (*host)->model.model->info();
  const Printer printer(options.json, (*host)->backend->name(), (*host)->backend->threads());
  Bench bench(**host);
  bench.prefill(1);
  if (options.wants("load")) printer.print({"load", 1, 1, 0, static_cast<double>(monotonic_us() - start) / 1000});
  if (options.wants("prefill")) bench_prefill(bench, options, printer);
  bench_decode(bench, options, printer, info.bytes_per_token);
  printer.print_memory();
  return 0;
}

}  // namespace verge::commands
