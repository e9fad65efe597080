// `verge dev [PROJECT]`: a wrangler project on workerd with env.AI answered by Verge. This process finds or starts
// the server and the Node program of workers/, which does the rest, and sees to it that nothing of both is left behind.
#include "commands/dev.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "commands/family.h"
#include "hosting/node_package.h"
#include "commands/remote.h"
#include "support/clock.h"

namespace verge::commands {
namespace {

constexpr int kServerStartMs = 20'000;

struct Options {
  std::string project = ".", server, config, env, ip = "127.0.0.1", persist, image_result, log_level;
  int port = 8787;
  bool wrangler = false, test_scheduled = false;
  std::vector<std::string> stand_ins;  // ID=OTHER, of a server of its own
  std::vector<std::string> rest;       // after --, for wrangler
};

// A port that is free now.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

bool answers(const std::string& server) { return bool(get_json(server, "/readyz", "")); }

// A server of this command's own: stand-ins, a data folder that goes with it.
class OwnServer {
 public:
  ~OwnServer() {
    std::error_code ec;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ec);
  }

  Result<std::string> start(Family& family, const std::vector<std::string>& stand_ins) {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-dev-XXXXXX").string();
    if (!mkdtemp(pattern.data())) return fail(Code::Io, "cannot make a folder in {}", std::filesystem::temp_directory_path().string());
    folder_ = pattern;
    const std::string address = "127.0.0.1:" + std::to_string(free_port());
    std::vector<std::string> argv{hosting::own_path(), "serve", "--stand-ins", "--listen", address, "--data", folder_ + "/data", "--drain", "1", "--drain-delay", "0", "--log-level", "warn"};
    for (const std::string& one : stand_ins) argv.insert(argv.end(), {"--stand-in", one});
    VERGE_ASSIGN(server, family.start(argv, {}, true));
    const int64_t limit = monotonic_ms() + kServerStartMs;
    while (!answers("http://" + address)) {
      if (Family::ended(server) || monotonic_ms() > limit) return fail(Code::Io, "verge serve did not start on {}", address);
      usleep(20'000);
    }
    return "http://" + address;
  }

 private:
  std::string folder_;
};

// --server and $VERGE_SERVER are taken as they are (workers/src/server.mjs asks them first, and says what is wrong); the default
// address where somebody answers there.
Result<std::string> find_server(const Options& options, Family& family, OwnServer& own) {
  const char* named = std::getenv("VERGE_SERVER");
  const std::string server = !options.server.empty() ? options.server : named ? named : "";
  const bool there = !server.empty() || answers(kDefaultServer);
  if (there && !options.stand_ins.empty())
    return fail(Code::InvalidInput, "--stand-in is for a server of this command's own; one is there already: start that with --stand-in {}", options.stand_ins.front());
  if (!server.empty()) return server;
  if (there) return std::string(kDefaultServer);
  return own.start(family, options.stand_ins);
}

Result<int> run(const Options& options) {
  VERGE_ASSIGN(package, hosting::node_package());
  OwnServer own;  // removed after its processes have ended
  Family family;
  VERGE_ASSIGN(server, find_server(options, family, own));
  std::vector<std::string> argv{package.node, package.script, "dev", options.project, "--port", std::to_string(options.port), "--ip", options.ip};
  const auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    argv.emplace_back(name);
    argv.push_back(value);
  };
  add("--config", options.config);
  add("--env", options.env);
  add("--persist-to", options.persist);
  add("--image-result", options.image_result);
  add("--log-level", options.log_level);
  if (options.test_scheduled) argv.emplace_back("--test-scheduled");
  if (options.wrangler) argv.emplace_back("--wrangler");
  if (!options.rest.empty()) argv.emplace_back("--");
  argv.insert(argv.end(), options.rest.begin(), options.rest.end());
  VERGE_ASSIGN(child, family.start(argv, {"VERGE_URL=" + server, "VERGE_NPM=" + package.modules}));
  return family.wait(child);
}

}  // namespace

int dev(int argc, char** argv) {
  CLI::App app("Run a Cloudflare Workers project with env.AI answered by Verge", argv[0]);
  Options options;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("project", options.project, "Folder with wrangler.toml, wrangler.json or wrangler.jsonc")->capture_default_str();
  app.add_option("--port,-p", options.port, "Port of the Worker")->check(CLI::Range(1, 65535))->capture_default_str();
  app.add_option("--ip", options.ip, "Address of the Worker")->capture_default_str();
  app.add_option("--server", options.server, "Address of a Verge server ($VERGE_SERVER); without one, http://127.0.0.1:8780 or a server of its own");
  app.add_option("--stand-in", options.stand_ins, "ID=OTHER for a server of its own, as verge serve takes it (repeatable)")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--config,-c", options.config, "Configuration file in the project");
  app.add_option("--env,-e", options.env, "Environment of the configuration");
  app.add_option("--persist-to", options.persist, "Folder of KV, D1, R2 and Durable Objects (default: .wrangler/state in the project)");
  app.add_option("--image-result", options.image_result, "array (as published) or results, for Workers that read result.results")->check(CLI::IsMember({"array", "results"}));
  app.add_option("--log-level", options.log_level, "wrangler's: debug, info, log, warn, error or none");
  app.add_flag("--test-scheduled", options.test_scheduled, "/__scheduled runs the cron handler");
  app.add_flag("--wrangler", options.wrangler, "Run the stock 'wrangler dev' instead; options after -- are its own");
  app.add_option("rest", options.rest, "Options for wrangler, after --")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  CLI11_PARSE(app, argc, argv);
  auto done = run(options);
  if (done) return *done;
  std::fprintf(stderr, "verge dev: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace verge::commands
