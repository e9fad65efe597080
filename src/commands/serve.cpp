// The one place that sees all layers. One io_context, one thread: api, router and node are coroutines on it;
// the engine's threads live in the worker processes.
#include "commands/serve.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include "accounts/accounts.h"
#include "accounts/local_lease_store.h"
#include "accounts/meter.h"
#include "accounts/response_store.h"
#include "api/api.h"
#include "api/origins.h"
#include "catalogue/catalogue.h"
#include "cluster/account_gossip.h"
#include "cluster/limit_gossip.h"
#include "cluster/quota_store.h"
#include "cluster/usage_gossip.h"
#include "server/account_care.h"
#include "server/address.h"
#include "server/converter.h"
#include "server/data_folder.h"
#include "server/drain_delay.h"
#include "server/hangups.h"
#include "hosting/hosting.h"
#include "commands/inspect.h"
#include "server/membership.h"
#include "hosting/node_package.h"
#include "server/placing.h"
#include "server/trace_export.h"
#include "convert/convert.h"
#include "http/server.h"
#include "http/tls.h"
#include "node/io/installed.h"
#include "node/liveness.h"
#include "node/node.h"
#include "router/router.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/metrics.h"
#include "support/spawn.h"

namespace verge::commands {
namespace {

namespace asio = boost::asio;

struct Options {
  std::string listen = "127.0.0.1:8780";
  std::string data = server::default_data_folder();
  std::vector<std::string> models;     // ID=PATH
  std::vector<std::string> preload;
  std::vector<std::string> catalogues;
  std::vector<std::string> workers;    // DIR or ROUTE=DIR
  std::vector<std::string> worker_accounts, worker_environments, worker_secrets;  // NAME=…
  std::vector<std::string> origins;    // web pages that may call without a token
  std::vector<std::string> hosts;      // names of this machine
  std::string image_result;
  std::string quota_message;
  std::vector<std::string> named_stand_ins;  // ID=OTHER
  bool stand_ins = false;
  std::string name;
  std::string token_file;
  std::string certificate, key;
  bool insecure = false;
  std::string log_level = "info", log_format = "text";
  int threads = 0, context = 0;
  uint64_t memory_mib = 0, kv_mib = 0;
  std::string kv_type, weights;
  bool quotas = false;
  int cut_off_percent = accounts::MeterOptions().cut_off_percent;
  accounts::ResponseBounds kept_responses;
  int drain_s = limits::kDrainMs / 1000;
  std::optional<int> drain_delay_s;
  std::string role, cluster, region, coordinates, keys, advertise, peer_listen;
  int hung_after_s = node::kHungFloorMs / 1000;
  bool insecure_cluster = false, null_engine = false;
  bool gateway() const { return role != "node"; }
  bool node() const { return role != "gateway"; }
};

// --model ID=PATH. Ids are free; a path must exist now, so that a slip of the pen shows at start.
// So do files that no load could take, before they cost another model its place.
Result<void> map_models(const Options& options, catalogue::Catalogue& catalogue, node::NodeOptions& node) {
  for (const std::string& text : options.models) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::InvalidInput, "--model wants ID=PATH, not '{}'", text);
    const std::string id = text.substr(0, equals);
    std::error_code ec;
    const auto path = std::filesystem::canonical(text.substr(equals + 1), ec);
    if (ec) return fail(Code::Io, "--model {}: cannot open {}: {}", id, text.substr(equals + 1), ec.message());
    if (!catalogue::valid_id(id)) return fail(Code::InvalidInput, "--model: '{}' is no model id (as in @me/name)", id);
    const catalogue::Entry* known = catalogue.find(id);
    auto seen = node.inspections->of(node::look_at(path.string()));
    if (!seen) return fail(seen.error().code, "--model {}: {}", id, seen.error().message);
    std::string task = std::move(seen->facts.task);
    if (known && known->task != task)
      return fail(Code::InvalidInput, "--model {}: this model is for {}, the files in {} are one for {}", id, known->task, path.string(), task);
    if (!known) {
      catalogue::Entry entry;
      entry.id = id;
      entry.task = std::move(task);
      entry.description = "From " + path.filename().string();
      catalogue.add(std::move(entry));
    }
    node.resolve.paths[known ? known->id : id] = path.string();
  }
  return {};
}

// --stand-in ID=OTHER: ids of the catalogue or of --model; an ID that nobody knows becomes one.
Result<void> name_stand_ins(const Options& options, catalogue::Catalogue& catalogue, node::ResolveOptions& resolve) {
  for (const std::string& text : options.named_stand_ins) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::InvalidInput, "--stand-in wants ID=OTHER, not '{}'", text);
    const std::string id = text.substr(0, equals), other = text.substr(equals + 1);
    if (!catalogue::valid_id(id)) return fail(Code::InvalidInput, "--stand-in: '{}' is no model id (as in @me/name)", id);
    const catalogue::Entry* answers = catalogue.find(other);
    if (!answers) return fail(Code::NoSuchModel, "--stand-in {}: no such model: {}", id, other);
    if (!catalogue.find(id)) {
      catalogue::Entry entry = *answers;
      entry.id = id;
      entry.uuid.clear();
      entry.aliases.clear();
      entry.sources.clear();
      entry.stand_in = false;
      entry.description = "Answered by " + answers->id;
      catalogue.add(std::move(entry));
      answers = catalogue.find(other);
    }
    const catalogue::Entry* asked = catalogue.find(id);
    if (asked == answers) return fail(Code::InvalidInput, "--stand-in {}: this is {} itself", id, other);
    if (asked->task != answers->task) return fail(Code::InvalidInput, "--stand-in {}: it is for {}, {} is for {}", id, asked->task, other, answers->task);
    if (resolve.paths.contains(asked->id)) return fail(Code::InvalidInput, "--stand-in {}: --model gives it files of its own", id);
    resolve.named_stand_ins[asked->id] = answers->id;
  }
  return {};
}

Result<void> check_exposure(const Options& options, const server::Address& address, bool tokens) {
  if (server::is_loopback(address.host) || options.insecure) return {};
  // A cluster's tokens may be made at any gateway, later: until then nobody on the network is let in.
  if (!tokens && options.cluster.empty())
    return fail(Code::Forbidden,
                "{} is not loopback and no API token exists: anyone on the network could use this server. Make one with 'verge token create' "
                "(same --data), or say --insecure to serve without",
                options.listen);
  if (options.certificate.empty())
    return fail(Code::Forbidden,
                "{} is not loopback and there is no TLS: tokens would travel in clear. Give --tls-cert and --tls-key, or say --insecure if a "
                "proxy in front does TLS",
                options.listen);
  return {};
}

// Options that ask for what another one rules out are named, not dropped.
Result<void> check_combinations(const Options& options) {
  if (options.certificate.empty() != options.key.empty()) return fail(Code::InvalidInput, "--tls-cert and --tls-key belong together: give both");
  if (options.node()) return {};
  for (const auto& [flag, given] : {std::pair{"--preload", !options.preload.empty()}, {"--threads", options.threads != 0}, {"--context", options.context != 0},
                                    {"--memory", options.memory_mib != 0}, {"--kv-memory", options.kv_mib != 0}, {"--kv-type", !options.kv_type.empty()},
                                    {"--weights", !options.weights.empty()}})
    if (given) return fail(Code::InvalidInput, "{} is for machines that run models: --role gateway runs none", flag);
  return {};
}

// Where a browser on this machine reaches what listens on `host`: addresses that mean "all" cannot be opened.
std::string host_of_link(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "[::1]";
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// Names that a client may know this server by, beside localhost and the address that it connects to.
std::vector<std::string> own_hosts(const Options& options, const server::Address& address) {
  std::vector<std::string> hosts = options.hosts;
  hosts.push_back(address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]");
  if (options.insecure) {
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) == 0) hosts.emplace_back(name);
  }
  return hosts;
}

Result<void> check_cluster(Options& options) {
  if (options.cluster.empty()) {
    for (const auto& [flag, given] : {std::pair{"--role", !options.role.empty()}, {"--region", !options.region.empty()}, {"--coordinates", !options.coordinates.empty()},
                                      {"--advertise", !options.advertise.empty()}, {"--peer-listen", !options.peer_listen.empty()}, {"--cluster-keys", !options.keys.empty()},
                                      {"--insecure-cluster", options.insecure_cluster}})
      if (given) return fail(Code::InvalidInput, "{} is for a cluster: give --cluster nats://HOST:PORT too", flag);
    if (options.name.empty()) options.name = "local";
    return {};
  }
  if (options.role.empty()) options.role = "both";
  if (options.role == "node" && !options.workers.empty()) return fail(Code::InvalidInput, "--worker: Workers are hosted by gateways, not by --role node");
  if (options.role == "node" && !options.token_file.empty()) return fail(Code::InvalidInput, "--tokens is for gateways: nodes ask clients for none");
  if (options.role == "both" && options.peer_listen.empty()) {
    // The node's door is no part of the public API: it has a port of its own.
    if (options.insecure_cluster) options.peer_listen = options.advertise.empty() ? "127.0.0.1:0" : options.advertise;
    else return fail(Code::InvalidInput, "--role both needs --peer-listen ADDRESS:PORT: where other machines reach this one's node");
  }
  return {};
}

http::task<void> out_of_bounds(http::Responder& out) {
  std::string body = api::Api::error_body(403, "this port is for the Workers of this server");
  co_await out.respond(403, {{"content-type", "application/json"}}, std::move(body));
}

hosting::HostingOptions hosting_options(const Options& options, std::vector<std::string> own_hosts, metrics::Registry& metrics) {
  hosting::HostingOptions hosting;
  hosting.workers = options.workers;
  hosting.accounts = options.worker_accounts;
  hosting.environments = options.worker_environments;
  hosting.secrets = options.worker_secrets;
  hosting.data = options.data;
  hosting.image_result = options.image_result;
  hosting.own_hosts = std::move(own_hosts);
  for (const char* name : {"localhost", "127.0.0.1", "[::1]"}) hosting.own_hosts.emplace_back(name);
  hosting.metrics = &metrics;
  return hosting;
}

// What comes in for env.AI of hosted Workers: under the account of the one that asks, whatever it says.
http::task<void> answer_worker(const hosting::Hosting& hosting, api::Api& api, http::Incoming& in, http::Responder& out) {
  if (const api::Vouched* by = hosting.vouched(in)) return api.handle_vouched(in, out, *by);
  return out_of_bounds(out);
}

constexpr int64_t kLookAtAccountsMs = 20;  // a request costs some 20 calls of the file system else

// Two drains, of clients and of other machines, have their own limits. What hangs besides (a disk, the bus) must not keep the process.
constexpr int kLastSeconds = 15;
void end_in_any_case(int seconds) {
  std::thread([seconds] {
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    log::error("stopping took too long; ending at once");
    std::_Exit(1);
  }).detach();
}

Result<int> serve_until_signal(Options options) {
  VERGE_TRY(check_cluster(options));
  VERGE_TRY(check_combinations(options));
  for (std::string& origin : options.origins) {
    VERGE_ASSIGN(pattern, api::parse_origin_pattern(origin));
    origin = std::move(pattern);
  }
  VERGE_ASSIGN(address, server::parse_address(options.listen, "--listen"));
  std::error_code ec;
  std::filesystem::create_directories(options.data, ec);
  if (ec) return fail(Code::Io, "cannot make the data folder {}: {}", options.data, ec.message());

  const auto catalogue_folders = [&] {
    auto folders = catalogue::Catalogue::user_folders();
    folders.insert(folders.end(), options.catalogues.begin(), options.catalogues.end());
    return folders;
  };
  VERGE_ASSIGN(catalogue, catalogue::Catalogue::load(catalogue_folders()));
  node::NodeOptions node_options;
  node_options.resolve.stand_ins = options.stand_ins;
  node_options.threads = options.threads;
  node_options.context_tokens = options.context;
  node_options.memory_bytes = options.memory_mib << 20;
  node_options.kv_bytes = options.kv_mib << 20;
  node_options.kv_type = options.kv_type;
  node_options.weights = options.weights;
  node_options.null_engine = options.null_engine;
  node_options.hung_after_ms = options.hung_after_s * 1000;
  const InspectOptions inspecting{.weights = options.weights, .task_only = options.null_engine};
  node_options.inspections = std::make_shared<node::Inspections>(
      options.null_engine ? "" : (std::filesystem::path(options.data) / "models.json").string(), options.weights,
      [inspecting](const std::string& path) { return inspect_model(path, inspecting); });
  VERGE_TRY(map_models(options, catalogue, node_options));
  VERGE_TRY(name_stand_ins(options, catalogue, node_options.resolve));
  VERGE_ASSIGN(accounts, accounts::Accounts::open(options.data));
  accounts.look_every(kLookAtAccountsMs);
  if (!options.token_file.empty()) VERGE_TRY(server::read_token_file(accounts, options.token_file));

  asio::io_context io(1);
  metrics::Registry metrics;
  std::string fatal;
  std::unique_ptr<server::Membership> membership;
  if (!options.cluster.empty()) {
    server::MembershipOptions joining;
    joining.servers = options.cluster;
    joining.role = options.role;
    joining.name = options.name;
    joining.region = options.region;
    joining.coordinates = options.coordinates;
    joining.keys = options.keys;
    joining.insecure = options.insecure_cluster;
    joining.listen = options.role == "both" ? options.peer_listen : options.listen;
    joining.advertise = options.advertise;
    joining.data = options.data;
    joining.metrics = &metrics;
    joining.fatal = [&](std::string message) {
      fatal = std::move(message);
      io.stop();
    };
    VERGE_ASSIGN(made, server::Membership::make(io.get_executor(), std::move(joining)));
    membership = std::move(made);
    options.name = membership->name();
    options.region = membership->region();
    if (options.gateway()) VERGE_TRY(accounts.join(options.name, membership->cluster()));
  }
  auto required = accounts.tokens_required();
  // A gateway whose tokens are still with the others is closed, and gets them from there.
  const bool awaited = !required && membership && options.gateway() && required.error().code != Code::Io;
  if (!required && !awaited) return required.error();
  const bool tokens = awaited || *required;
  if (options.gateway()) VERGE_TRY(check_exposure(options, address, tokens));
  VERGE_ASSIGN(traces, server::TraceExport::from_environment(io.get_executor(), options.name));
  node_options.name = options.name;
  std::shared_ptr<node::Node> node;
  router::Router router(io.get_executor(), &metrics);
  // Requests of other machines are the business of this node alone, restarts of its workers included.
  router::Router own(io.get_executor(), nullptr, false);
  if (options.node()) {
    VERGE_ASSIGN(made, node::Node::make(io.get_executor(), catalogue, node_options));
    node = std::move(made);
    for (const auto& [id, path] : node_options.resolve.paths)
      if (auto fits = node->could_load(id); !fits) return fail(fits.error().code, "--model {}: {}", id, fits.error().message);
    for (const auto& [id, other] : node_options.resolve.named_stand_ins)
      if (auto fits = node->could_load(id); !fits) return fail(fits.error().code, "--stand-in {}: {}", id, fits.error().message);
    for (const std::string& id : options.preload)
      if (auto fits = node->could_load(id); !fits) return fail(fits.error().code, "--preload {}: {}", id, fits.error().message);
    router.add_node(options.name, *node);
    node->on_suspect([&router, name = options.name](const std::string& id, bool suspect) { router.set_suspect(name, id, suspect); });
    own.add_node(options.name, *node);
  }

  VERGE_ASSIGN(ledger, accounts::Ledger::open(io.get_executor(), options.data, {options.name, membership && options.gateway()}));
  accounts::LocalLeaseStore leases([&](const std::string& account, int64_t day) { return ledger->neurons_of(account, day); });
  std::unique_ptr<cluster::QuotaStore> shared_leases;
  if (membership) shared_leases = std::make_unique<cluster::QuotaStore>(membership->bus());
  accounts::LeaseStore& lease_store = shared_leases ? static_cast<accounts::LeaseStore&>(*shared_leases) : leases;
  std::optional<accounts::SharedCounts> shared_counts;
  if (membership && options.gateway()) {
    VERGE_ASSIGN(gateways, accounts.remembered_gateways());
    shared_counts.emplace(gateways);
  }
  accounts::Meter meter(io.get_executor(), accounts, catalogue, lease_store, ledger.get(), metrics, {options.quotas, options.cut_off_percent, shared_counts ? &*shared_counts : nullptr});

  VERGE_ASSIGN(kept_responses, accounts::ResponseStore::open(options.data, options.kept_responses));

  bool ready = false, draining = false;
  server::DrainDelay drain_delay(options.drain_delay_s);
  api::Options api_options;
  api_options.node = options.name;
  api_options.metrics = &metrics;
  api_options.meter = &meter;
  if (options.kept_responses.kept > 0) api_options.responses = kept_responses.get();
  api_options.quota_message = options.quota_message;
  api_options.insecure = options.insecure;
  api_options.origins = options.origins;
  api_options.hosts = own_hosts(options, address);
  api_options.image_results = options.image_result == "results";
  // With models that do not get on, and nothing else that does, other machines are the only hope.
  const auto others = [&] { return membership && membership->others(); };
  api_options.ready = [&] {
    drain_delay.asked(monotonic_ms());
    return ready && !draining && !accounts.unheard() && (!membership || node || membership->ready()) && (!node || node->well() || others());
  };
  api_options.stand_ins = options.stand_ins;
  api_options.offered = [&] {
    std::set<std::string> ids = router.models();
    if (node)
      for (protocol::ModelReport& figures : node->figures()) ids.insert(std::move(figures.id));
    return ids;
  };
  std::unique_ptr<hosting::Hosting> hosting;
  json::object reloaded;  // what became of the latest SIGHUP
  api_options.status = [&] {
    json::value status = node ? node->status() : json::value(json::object{{"name", options.name}, {"state", draining ? "draining" : "up"}, {"models", json::array()}});
    if (draining) status.as_object()["state"] = "draining";
    if (membership) status.as_object()["cluster"] = membership->status();
    if (!options.workers.empty()) status.as_object()["workers"] = hosting->status();
    if (!reloaded.empty()) status.as_object()["reload"] = reloaded;
    return status;
  };
  const auto all_nodes = [&] {
    json::array nodes = membership ? membership->nodes() : json::array();
    if (node) nodes.push_back(server::own_row(*node, options.name, options.region, draining));
    return nodes;
  };
  api_options.nodes = all_nodes;
  // Set once there is somebody to ask.
  std::function<http::task<Result<json::value>>()> wishes;
  std::function<http::task<Result<void>>(std::string, json::object)> wish;
  if (membership) {
    api_options.wishes = [&] { return wishes(); };
    api_options.wish = [&](std::string model, json::object body) { return wish(std::move(model), std::move(body)); };
  }
  server::Converter converter(hosting::own_path());
  api_options.markdown_kind = convert::kind_of;
  api_options.convert = [&converter](std::string kind, std::string media_type, std::string bytes) {
    return converter.convert(std::move(kind), std::move(media_type), std::move(bytes));
  };
  for (const convert::Supported& one : convert::supported()) api_options.markdown_supported.emplace_back(one.extension, one.media_type);
  api_options.quota_message = options.quota_message;
  api::Api api(router, catalogue, &accounts, std::move(api_options));
  VERGE_ASSIGN(made_hosting, hosting::Hosting::make(io.get_executor(), hosting_options(options, own_hosts(options, address), metrics), [&](const http::RequestHead& head) { return api.takes(head); }));
  hosting = std::move(made_hosting);
  // The Host counts on every route, the Workers' too.
  const auto for_worker = [&](const http::RequestHead& head) {
    return hosting->takes(head) && (hosting->names_host(head) || api.expects_host(head));
  };
  http::ServerOptions http_options;
  http_options.body_limit = [&](const http::RequestHead& head) { return for_worker(head) ? limits::kBodyBytes : api.body_limit(head); };
  // A hosted Worker reads its bodies as they came, as it does on Cloudflare.
  http_options.body_coding = [&](const http::RequestHead& head) { return for_worker(head) ? std::string() : api.body_coding(head); };
  http_options.error_body = api::Api::error_body;
  if (!options.certificate.empty()) {
    VERGE_ASSIGN(tls, http::TlsServer::load(options.certificate, options.key));
    http_options.tls = tls;
    server::note_expiry(metrics, "server", options.certificate);
  }
  http::Server server(
      io.get_executor(), [&](http::Incoming& in, http::Responder& out) { return for_worker(in) ? hosting->handle(in, out) : api.handle(in, out); }, http_options);
  if (options.gateway()) VERGE_TRY(server.listen_tcp(address.host, address.port));
  if (membership && options.gateway()) VERGE_TRY(membership->follow(router, catalogue));
  if (membership && node) VERGE_TRY(membership->announce(*node, own));
  std::shared_ptr<server::Placing> placing;
  if (membership) {
    placing = server::Placing::make(io.get_executor(), membership->bus(), {options.name, options.region, [&] { return all_nodes(); }}, options.gateway() ? &router : nullptr, node.get());
    wishes = [&] { return placing->wishes(); };
    wish = [&](std::string model, json::object body) { return placing->wish(std::move(model), std::move(body)); };
  }
  std::shared_ptr<cluster::UsageGossip> usage;
  std::shared_ptr<cluster::AccountGossip> account_gossip;
  std::shared_ptr<cluster::LimitGossip> limit_gossip;
  server::AccountCareOptions caring;
  caring.token_file = options.token_file;
  if (membership && options.gateway()) {
    account_gossip = cluster::AccountGossip::make(io.get_executor(), membership->bus(), accounts, {options.name, 500, &metrics});
    cluster::LimitGossipOptions limiting;
    limiting.name = options.name;
    limiting.own = [&] { return meter.counts(); };
    limiting.gateways = [&](int64_t count) { (void)accounts.remember_gateways(count); };
    limit_gossip = cluster::LimitGossip::make(io.get_executor(), membership->bus(), *shared_counts, std::move(limiting));
    caring.used = [&](const std::map<std::string, int64_t>& used_ms) { account_gossip->tell_uses(used_ms); };
    cluster::UsageGossipOptions gossip;
    gossip.name = options.name;
    gossip.metrics = &metrics;
    VERGE_ASSIGN(made, cluster::UsageGossip::make(io.get_executor(), membership->bus(), *ledger, std::move(gossip)));
    usage = std::move(made);
  }
  const auto care = server::AccountCare::make(io.get_executor(), accounts, std::move(caring));
  // env.AI of hosted Workers comes in here: loopback, without TLS, whatever the other listener is.
  http::ServerOptions inner_options;
  inner_options.body_limit = [&](const http::RequestHead& head) { return hosting->vouched(head) ? api.body_limit(head) : 0; };
  inner_options.body_coding = [&](const http::RequestHead& head) { return api.body_coding(head); };
  inner_options.error_body = api::Api::error_body;
  http::Server inner(io.get_executor(), [&](http::Incoming& in, http::Responder& out) { return answer_worker(*hosting, api, in, out); }, inner_options);
  if (!options.workers.empty()) {
    VERGE_TRY(inner.listen_tcp("127.0.0.1", 0));
    VERGE_TRY(hosting->start(fmt::format("http://127.0.0.1:{}", inner.port())));
  }

  server::on_hangup(io.get_executor(), [&] {
    if (draining) return log::info("SIGHUP while stopping: nothing is read again");
    json::array errors;
    const auto step = [&](const char* what, Result<void> done) {
      if (done) return;
      log::error("not reloaded, what was there before goes on", {{"what", what}, {"error", done.error().message}});
      errors.emplace_back(fmt::format("{}: {}", what, done.error().message));
    };
    step("catalogue", catalogue.reload(catalogue_folders()));
    if (options.gateway() && !options.certificate.empty()) {
      auto tls = http::TlsServer::load(options.certificate, options.key);
      step("certificate", tls ? Result<void>() : Result<void>(tls.error()));
      if (tls) server.use_tls(*tls);
    }
    hosting->reload();
    log::info("reloaded", {{"errors", static_cast<int>(errors.size())}, {"workers", static_cast<int>(options.workers.size())}});
    reloaded = json::object{{"at_ms", unix_ms()}, {"errors", std::move(errors)}};
  });

  // First signal: drain. Second: stop now.
  asio::signal_set signals(io, SIGINT, SIGTERM);
  std::function<void(boost::system::error_code, int)> on_signal = [&](boost::system::error_code error, int number) {
    if (error) return;
    if (draining) {
      log::warn("stopping at once");
      // Without unwinding: the coroutines that still run use objects below, which would go before them. Workers end
      // when their node's pipe does; what SQLite has committed is safe.
      std::_Exit(128 + number);
    }
    draining = true;
    const int delay_s = options.gateway() ? drain_delay.seconds(number, monotonic_ms()) : 0;
    end_in_any_case(delay_s + 2 * options.drain_s + kLastSeconds);
    log::info("draining", {{"signal", number}, {"delay_s", delay_s}, {"limit_s", options.drain_s}});
    signals.async_wait(on_signal);
    spawn(
        io.get_executor(), "draining",
        [&, delay_s]() -> asio::awaitable<void> {
          if (membership) membership->stop_taking();
          if (placing) placing->stop();
          if (delay_s > 0) {
            server.close_after_answers();
            asio::steady_timer delay(io, std::chrono::seconds(delay_s));
            co_await delay.async_wait(asio::use_awaitable);
          }
          if (options.gateway()) {
            co_await server.drain(options.drain_s * 1000);
          }
          co_await hosting->stop(3000);
          co_await inner.drain(1000);
          care->stop();
          if (account_gossip) account_gossip->stop();
          if (limit_gossip) limit_gossip->stop();
          if (usage) usage->stop();
          if (membership) {
            co_await membership->drain(options.drain_s * 1000);
          }
          if (node) {
            co_await node->stop(2000);
          }
        },
        [&](std::exception_ptr) { io.stop(); });
  };
  signals.async_wait(on_signal);
  if (node) {
    for (const std::string& id : options.preload) node->preload(id);
  }
  ready = true;
  if (options.gateway()) log::info("serving", {{"address", fmt::format("{}://{}:{}", options.certificate.empty() ? "http" : "https", host_of_link(address.host), server.port())},
                        {"listen", options.listen},
                        {"data", options.data},
                        {"tokens", accounts.unheard() ? "not known yet" : tokens ? "required" : "not required"}});
  run_loop(io);
  if (!fatal.empty()) {
    if (node) {
      io.restart();
      spawn(io.get_executor(), "stopping", [&] { return node->stop(0); }, [&](std::exception_ptr) { io.stop(); });
      run_loop(io);
    }
    return fail(Code::InvalidInput, "{}", fatal);
  }
  log::info("stopped");
  return 0;
}

void add_options(CLI::App& app, Options& o) {
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
  app.add_option("--log-level", o.log_level, "debug, info, warn or error")->check(CLI::IsMember({"debug", "info", "warn", "error"}))->capture_default_str();
  app.add_option("--log-format", o.log_format, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
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

}  // namespace

int serve(int argc, char** argv) {
  server::catch_hangups();
  Options options;
  CLI::App app("Start the server: the Workers AI and OpenAI APIs on this machine", argv[0]);
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  log::configure(level(options.log_level), options.log_format == "json" ? log::Format::Json : log::Format::Text, "serve");
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptors();
  auto done = serve_until_signal(options);
  if (!done) {
    std::fprintf(stderr, "verge serve: %s\n", done.error().message.c_str());
    return 1;
  }
  return *done;
}

}  // namespace verge::commands
