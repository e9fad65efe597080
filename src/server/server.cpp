#include "server/server.h"

#include <csignal>
#include <filesystem>
#include <utility>

#include "hosting/node_package.h"
#include "node/io/inspect_process.h"
#include "server/checks.h"
#include "server/parts.h"
#include "support/clock.h"
#include "support/log.h"

namespace verge::server {
namespace {

constexpr int kLookAtAccountsMs = 20;  // a request costs some 20 calls of the file system else

}  // namespace

Server::Parts::Parts(Options o, Address a, accounts::Accounts opened)
    : options(std::move(o)),
      address(std::move(a)),
      accounts(std::move(opened)),
      drain_delay(options.drain_delay_s),
      signals(loop.executor()),
      router(loop.executor(), &metrics),
      own(loop.executor(), nullptr, false) {
  node_options.resolve.stand_ins = options.stand_ins;
  node_options.program = options.program;
  node_options.threads = options.threads;
  node_options.context_tokens = options.context;
  node_options.memory_bytes = options.memory_mib << 20;
  node_options.kv_bytes = options.kv_mib << 20;
  node_options.kv_type = options.kv_type;
  node_options.weights = options.weights;
  node_options.null_engine = options.null_engine;
  node_options.hung_after_ms = options.hung_after_s * 1000;
  const node::InspectOptions inspecting{options.program, options.weights, options.null_engine,
                                        [this] { return ending_inspections.load(); }};
  const auto file = std::filesystem::path(options.data) / "models.json";
  node_options.inspections = std::make_shared<node::Inspections>(
      options.null_engine ? "" : file.string(), options.weights,
      [inspecting](const std::string& path) { return node::inspect_model(path, inspecting); });
}

Server::Parts::~Parts() {
  if (!settled) loop.abandon();
}

std::vector<std::string> Server::Parts::catalogue_folders() const {
  auto folders = catalogue::Catalogue::user_folders();
  folders.insert(folders.end(), options.catalogues.begin(), options.catalogues.end());
  return folders;
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  if (!parts_->over) parts_->run_to_the_end();
}

Result<std::unique_ptr<Server>> Server::make(Options options) {
  VERGE_TRY(check_options(options));
  if (options.program.empty()) options.program = hosting::own_path();
  VERGE_ASSIGN(address, parse_address(options.listen, "--listen"));
  std::error_code ec;
  std::filesystem::create_directories(options.data, ec);
  if (ec)
    return fail(Code::Io, "cannot make the data folder {}: {}", options.data, ec.message());
  VERGE_ASSIGN(accounts, accounts::Accounts::open(options.data));
  auto parts = std::make_unique<Parts>(std::move(options), std::move(address), std::move(accounts));
  const Options& known = parts->options;
  VERGE_ASSIGN(catalogue, catalogue::Catalogue::load(parts->catalogue_folders()));
  parts->catalogue = std::move(catalogue);
  VERGE_TRY(map_models(known, parts->catalogue, parts->node_options));
  parts->accounts.look_every(kLookAtAccountsMs);
  if (!known.token_file.empty()) VERGE_TRY(read_token_file(parts->accounts, known.token_file));
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Result<void> Server::start() {
  Parts& parts = *parts_;
  VERGE_TRY(parts.join_cluster());
  VERGE_TRY(parts.check_tokens());
  VERGE_TRY(parts.open_node());
  VERGE_TRY(parts.open_accounts());
  VERGE_TRY(parts.open_api());
  VERGE_TRY(parts.open_listener());
  VERGE_TRY(parts.enter_cluster());
  VERGE_TRY(parts.tell_accounts());
  VERGE_TRY(parts.host_workers());
  parts.watch_signals();
  const Options& options = parts.options;
  for (const std::string& id : options.preload) parts.node->preload(id);
  parts.ready = true;
  if (!options.gateway()) return {};
  const std::string link =
      fmt::format("{}://{}:{}", options.certificate.empty() ? "http" : "https",
                  host_of_link(parts.address.host), parts.listener->port());
  const char* tokens = parts.accounts.unheard() ? "not known yet"
                       : parts.tokens           ? "required"
                                                : "not required";
  log::info("serving", {{"address", link},
                        {"listen", options.listen},
                        {"data", options.data},
                        {"tokens", tokens}});
  return {};
}

Result<int> Server::run() {
  parts_->loop.run();
  if (!parts_->fatal.empty()) return fail(Code::InvalidInput, "{}", parts_->fatal);
  if (parts_->hurried_by) return 128 + parts_->hurried_by;
  log::info("stopped");
  return 0;
}

void Server::drain() {
  parts_->loop.post([&parts = *parts_] {
    parts.begin_end(parts.drain_delay.seconds(SIGTERM, monotonic_ms()));
  });
}

void Server::stop() {
  parts_->loop.post([&parts = *parts_] {
    parts.begin_end(0);
    parts.hurry();
  });
}

uint16_t Server::port() const { return parts_->listener ? parts_->listener->port() : 0; }

}  // namespace verge::server
