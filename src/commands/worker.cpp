#include "commands/worker.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "support/log.h"
#include "worker/worker.h"

namespace verge::commands {

int worker(int argc, char** argv) {
  ::signal(SIGHUP, SIG_IGN);  // a reload is the server's business, and no reason to lose a model
  CLI::App app("One model's process, started by `verge serve`", argv[0]);
  verge::worker::WorkerOptions options;
  std::string kv_type = "f16", weights = "native";
  app.add_option("--model", options.host.path, "GGUF file or model folder")->required();
  app.add_option("--id", options.id, "Id of the model")->required();
  app.add_option("--node", options.node, "Name of the node")->required();
  app.add_option("--context", options.host.context_tokens, "Context window in tokens; 0 = the model's")->check(CLI::NonNegativeNumber);
  app.add_option("--kv-bytes", options.host.kv_bytes, "Memory for keys and values; 0 = chosen");
  app.add_option("--memory-bytes", options.memory_bytes, "Memory for all models of the node; 0 = not told");
  app.add_option("--threads", options.host.threads, "0 = all cores")->check(CLI::NonNegativeNumber);
  app.add_option("--kv-type", kv_type, "f16, bf16 or f32");
  app.add_option("--weights", weights, "native or f32");
  app.add_flag("--null-engine", options.host.null_engine, "Tokens without a model");
  CLI11_PARSE(app, argc, argv);
  log::configure(log::Level::Info, log::Format::Text, "worker");
  const auto kv = verge::worker::kv_type_from(kv_type);
  const auto precision = verge::worker::precision_from(weights);
  if (!kv || !precision) {
    std::fprintf(stderr, "verge worker: %s\n", (kv ? precision.error() : kv.error()).message.c_str());
    return 2;
  }
  options.host.kv_type = *kv;
  options.host.precision = *precision;
  return verge::worker::run_worker(std::move(options));
}

}  // namespace verge::commands
