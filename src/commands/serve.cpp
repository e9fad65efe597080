#include "commands/serve.h"

#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "server/drain_delay.h"
#include "server/hangups.h"
#include "server/server.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::commands {
namespace {

struct LogOptions {
  std::string level = "info", format = "text";
};

void add_options(CLI::App& app, server::Options& o, LogOptions& logs) {
  app.add_option("--listen", o.listen, "HOST:PORT to serve on")->capture_default_str();
  app.add_option("--data", o.data, "Folder of the server's state")->capture_default_str();
  app.add_option("--model", o.models, "ID=PATH: serve a model file or folder under an id (repeatable)");
  app.add_option("--preload", o.preload, "Load this model at start (repeatable)");
  app.add_option("--catalogue", o.catalogues, "Folder with catalogue entries of your own (repeatable)");
  app.add_flag("--stand-ins", o.stand_ins, "Answer for models whose weights are not here with the small one of their task");
  app.add_option("--stand-in", o.named_stand_ins, "ID=OTHER: requests for ID are answered by OTHER, whatever the width of its vectors (repeatable)");
  app.add_option("--name", o.name, "Name of this machine in answers and logs, unique in its cluster (default: local)");
  app.add_option("--cluster", o.cluster, "Be part of a cluster: its NATS servers, nats://HOST:PORT[,…]");
  app.add_option("--role", o.role, "In a cluster: gateway (the API), node (the models) or both")->check(CLI::IsMember({"gateway", "node", "both"}));
  app.add_option("--region", o.region, "Region of this machine, as in eu");
  app.add_option("--coordinates", o.coordinates, "LAT,LON of this machine in degrees: what it guesses of round trips that nobody has measured yet");
  app.add_option("--advertise", o.advertise, "HOST:PORT that other machines of the cluster reach this node by");
  app.add_option("--peer-listen", o.peer_listen, "HOST:PORT for other machines of the cluster, with --role both (with --role node that is --listen)");
  app.add_option("--cluster-keys", o.keys, "Folder of this machine's keys, from `verge cluster join`");
  app.add_flag("--insecure-cluster", o.insecure_cluster, "No keys and no TLS between machines: on loopback addresses only");
  app.add_option("--threads", o.threads, "Threads per model (0 = all cores)")->capture_default_str();
  app.add_option("--context", o.context, "Context window in tokens (0 = the model's)")->capture_default_str();
  app.add_option("--memory", o.memory_mib, "Memory for models in MiB (0 = 80 % of the machine)")->capture_default_str();
  app.add_option("--kv-memory", o.kv_mib, "KV cache per model in MiB (0 = chosen)")->capture_default_str();
  app.add_option("--kv-type", o.kv_type, "f16, bf16 or f32")->check(CLI::IsMember({"f16", "bf16", "f32"}));
  app.add_option("--weights", o.weights, "native, or f32 for reference results")->check(CLI::IsMember({"native", "f32"}));
  app.add_option("--tokens", o.token_file, "File with API tokens or their hashes, a line each, beside those of `verge token`; read again when it changes");
  app.add_option("--tls-cert", o.certificate, "PEM certificate chain");
  app.add_option("--tls-key", o.key, "PEM private key");
  app.add_flag("--insecure", o.insecure, "Serve beyond loopback without tokens or TLS");
  app.add_option("--drain", o.drain_s, "Seconds that running requests get after SIGTERM")->capture_default_str();
  app.add_option("--drain-delay", o.drain_delay_s,
                 fmt::format("Seconds after SIGTERM in which /readyz says 503 and connections are still "
                             "taken (default: {} where /readyz is watched)",
                             server::kDrainDelayS))
      ->check(CLI::Range(0, 3600));
  app.add_option("--hung-after", o.hung_after_s, "Seconds without progress, at least, after which a model's process counts as hung and is started anew")->check(CLI::Range(1, 86'400))->capture_default_str();
  app.add_flag("--quotas", o.quotas, "Hold accounts to the published limits: 10,000 neurons a day, requests a minute of each task");
  app.add_option("--quota-message", o.quota_message, "What an account is told whose daily neurons are used up (3036); {neurons} stands for the allocation");
  app.add_option("--responses-kept", o.kept_responses.kept, "Answers of /v1/responses kept for an account; the oldest go first, 0 keeps none")->check(CLI::Range(0, 10'000'000));
  app.add_option("--responses-days", o.kept_responses.days, "Days that answers of /v1/responses are kept")->check(CLI::Range(1, 3650));
  app.add_option("--quota-cut-off", o.cut_off_percent, "Percent of its daily neurons that an account may use here while the cluster's quota store is out of reach")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  app.add_option("--image-result", o.image_result, "Shape of image answers: array (as published) or results, for Workers that read result.results")->check(CLI::IsMember({"array", "results"}));
  app.add_option("--worker", o.workers, "Host a wrangler project: DIR, or ROUTE=DIR as in 'shop.example/*=./shop' (repeatable)");
  app.add_option("--worker-account", o.worker_accounts, "NAME=ACCOUNT: whom a hosted Worker's use of models is charged to (repeatable; default: default)");
  app.add_option("--worker-env", o.worker_environments, "NAME=ENVIRONMENT of a hosted Worker's configuration (repeatable)");
  app.add_option("--worker-secrets", o.worker_secrets, "NAME=FILE: a hosted Worker's secrets, in the form of .dev.vars (repeatable)");
  app.add_option("--origin", o.origins, "Web origin that may call without a token, as https://app.example, https://*.example:* or * (repeatable); this machine's always may");
  app.add_option("--host", o.hosts, "Name that this server is reached by, as verge.lan, or * for any (repeatable); without tokens other Hosts are refused");
  app.add_flag("--null-engine", o.null_engine, "Answer text requests without computing: to measure everything around a model")->group("");
  app.add_option("--log-level", logs.level, "debug, info, warn or error")->check(CLI::IsMember({"debug", "info", "warn", "error"}))->capture_default_str();
  app.add_option("--log-format", logs.format, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
}

log::Level level(const std::string& text) {
  if (text == "debug") return log::Level::Debug;
  if (text == "warn") return log::Level::Warn;
  if (text == "error") return log::Level::Error;
  return log::Level::Info;
}

// Each connection is a descriptor, and the soft limit is 1,024 on most machines.
void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, limits::kConnections + limits::kConnections / 2);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<int> run_server(server::Options options) {
  VERGE_ASSIGN(server, server::Server::make(std::move(options)));
  VERGE_TRY(server->start());
  return server->run();
}

}  // namespace

int serve(int argc, char** argv) {
  server::catch_hangups();
  server::Options options;
  LogOptions logs;
  CLI::App app("Start the server: the Workers AI and OpenAI APIs on this machine", argv[0]);
  add_options(app, options, logs);
  CLI11_PARSE(app, argc, argv);
  log::configure(level(logs.level), logs.format == "json" ? log::Format::Json : log::Format::Text,
                 "serve");
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptors();
  auto done = run_server(std::move(options));
  if (!done) {
    std::fprintf(stderr, "verge serve: %s\n", done.error().message.c_str());
    return 1;
  }
  return *done;
}

}  // namespace verge::commands
