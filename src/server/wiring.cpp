// Makes the parts of a server, in their order, and joins them. The one place that sees all layers.
#include <set>
#include <utility>

#include "convert/convert.h"
#include "hosting/hosting.h"
#include "http/tls.h"
#include "server/checks.h"
#include "server/parts.h"
#include "support/clock.h"
#include "support/log.h"

namespace verge::server {
namespace {

hosting::HostingOptions hosting_options(const Options& options, std::vector<std::string> own_hosts,
                                        metrics::Registry& metrics) {
  hosting::HostingOptions hosting;
  hosting.workers = options.workers;
  hosting.accounts = options.worker_accounts;
  hosting.environments = options.worker_environments;
  hosting.secrets = options.worker_secrets;
  hosting.data = options.data;
  hosting.image_result = options.image_result;
  hosting.own_hosts = std::move(own_hosts);
  for (const char* name : {"localhost", "127.0.0.1", "[::1]"})
    hosting.own_hosts.emplace_back(name);
  hosting.metrics = &metrics;
  return hosting;
}

}  // namespace

Result<void> Server::Parts::join_cluster() {
  if (options.cluster.empty()) return {};
  MembershipOptions joining;
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
  joining.fatal = [this](std::string message) {
    fatal = std::move(message);
    begin_end(0);
    hurry();
  };
  VERGE_ASSIGN(made, Membership::make(loop.executor(), std::move(joining)));
  membership = std::move(made);
  options.name = membership->name();
  options.region = membership->region();
  if (!options.gateway()) return {};
  return accounts.join(options.name, membership->cluster());
}

Result<void> Server::Parts::check_tokens() {
  auto required = accounts.tokens_required();
  // A gateway whose tokens are still with the others is closed, and gets them from there.
  const bool awaited =
      !required && membership && options.gateway() && required.error().code != Code::Io;
  if (!required && !awaited) return required.error();
  tokens = awaited || *required;
  if (!options.gateway()) return {};
  return check_exposure(options, address, tokens);
}

Result<void> Server::Parts::open_node() {
  VERGE_ASSIGN(exporting, TraceExport::from_environment(loop.executor(), options.name));
  traces = std::move(exporting);
  node_options.name = options.name;
  if (!options.node()) return {};
  VERGE_ASSIGN(made, node::Node::make(loop.executor(), catalogue, node_options));
  node = std::move(made);
  const auto check = [&](const char* flag, const std::string& id) -> Result<void> {
    auto fits = node->could_load(id);
    if (!fits) return fail(fits.error().code, "{} {}: {}", flag, id, fits.error().message);
    return {};
  };
  for (const auto& [id, path] : node_options.resolve.paths) VERGE_TRY(check("--model", id));
  for (const auto& [id, other] : node_options.resolve.named_stand_ins)
    VERGE_TRY(check("--stand-in", id));
  for (const std::string& id : options.preload) VERGE_TRY(check("--preload", id));
  router.add_node(options.name, *node);
  node->on_suspect([this](const std::string& id, bool suspect) {
    router.set_suspect(options.name, id, suspect);
  });
  own.add_node(options.name, *node);
  return {};
}

Result<void> Server::Parts::open_accounts() {
  const bool shared = membership && options.gateway();
  VERGE_ASSIGN(books,
               accounts::Ledger::open(loop.executor(), options.data, {options.name, shared}));
  ledger = std::move(books);
  if (membership) {
    leases = std::make_unique<cluster::QuotaStore>(membership->bus());
  } else {
    leases = std::make_unique<accounts::LocalLeaseStore>(
        [this](const std::string& account, int64_t day) {
          return ledger->neurons_of(account, day);
        });
  }
  if (shared) {
    VERGE_ASSIGN(gateways, accounts.remembered_gateways());
    shared_counts.emplace(gateways);
  }
  meter.emplace(loop.executor(), accounts, catalogue, *leases, ledger.get(), metrics,
                accounts::MeterOptions{options.quotas, options.cut_off_percent,
                                       shared_counts ? &*shared_counts : nullptr});
  VERGE_ASSIGN(kept, accounts::ResponseStore::open(options.data, options.kept_responses));
  kept_responses = std::move(kept);
  return {};
}

Result<void> Server::Parts::open_api() {
  api::Options with;
  with.node = options.name;
  with.metrics = &metrics;
  with.meter = &*meter;
  if (options.kept_responses.kept > 0) with.responses = kept_responses.get();
  with.quota_message = options.quota_message;
  with.insecure = options.insecure;
  with.origins = options.origins;
  with.hosts = own_hosts(options, address);
  with.image_results = options.image_result == "results";
  with.ready = [this] { return is_ready(); };
  with.stand_ins = options.stand_ins;
  with.offered = [this] {
    std::set<std::string> ids = router.models();
    if (node)
      for (protocol::ModelReport& figures : node->figures()) ids.insert(std::move(figures.id));
    return ids;
  };
  with.status = [this] { return status(); };
  with.nodes = [this] { return all_nodes(); };
  if (membership) {
    with.wishes = [this] { return placing->wishes(); };
    with.wish = [this](std::string model, json::object body) {
      return placing->wish(std::move(model), std::move(body));
    };
  }
  converter.emplace(options.program);
  with.markdown_kind = convert::kind_of;
  with.convert = [this](std::string kind, std::string media_type, std::string bytes) {
    return converter->convert(std::move(kind), std::move(media_type), std::move(bytes));
  };
  for (const convert::Supported& one : convert::supported())
    with.markdown_supported.emplace_back(one.extension, one.media_type);
  api.emplace(router, catalogue, &accounts, std::move(with));
  VERGE_ASSIGN(made,
               hosting::Hosting::make(
                   loop.executor(),
                   hosting_options(options, own_hosts(options, address), metrics),
                   [this](const http::RequestHead& head) { return api->takes(head); }));
  hosting = std::move(made);
  return {};
}

Result<void> Server::Parts::open_listener() {
  http::ServerOptions with;
  with.body_limit = [this](const http::RequestHead& head) {
    return for_worker(head) ? limits::kBodyBytes : api->body_limit(head);
  };
  // A hosted Worker reads its bodies as they came, as it does on Cloudflare.
  with.body_coding = [this](const http::RequestHead& head) {
    return for_worker(head) ? std::string() : api->body_coding(head);
  };
  with.error_body = api::Api::error_body;
  if (!options.certificate.empty()) {
    VERGE_ASSIGN(tls, http::TlsServer::load(options.certificate, options.key));
    with.tls = tls;
    note_expiry(metrics, "server", options.certificate);
  }
  listener.emplace(
      loop.executor(),
      [this](http::Incoming& in, http::Responder& out) {
        return for_worker(in) ? hosting->handle(in, out) : api->handle(in, out);
      },
      with);
  if (!options.gateway()) return {};
  return listener->listen_tcp(address.host, address.port);
}

Result<void> Server::Parts::enter_cluster() {
  if (!membership) return {};
  if (options.gateway()) VERGE_TRY(membership->follow(router, catalogue));
  if (node) VERGE_TRY(membership->announce(*node, own));
  placing = Placing::make(loop.executor(), membership->bus(),
                          {options.name, options.region, [this] { return all_nodes(); }},
                          options.gateway() ? &router : nullptr, node.get());
  return {};
}

Result<void> Server::Parts::tell_accounts() {
  AccountCareOptions caring;
  caring.token_file = options.token_file;
  if (membership && options.gateway()) {
    account_gossip = cluster::AccountGossip::make(loop.executor(), membership->bus(), accounts,
                                                  {options.name, 500, &metrics});
    cluster::LimitGossipOptions limiting;
    limiting.name = options.name;
    limiting.own = [this] { return meter->counts(); };
    limiting.gateways = [this](int64_t count) { (void)accounts.remember_gateways(count); };
    limit_gossip = cluster::LimitGossip::make(loop.executor(), membership->bus(), *shared_counts,
                                              std::move(limiting));
    caring.used = [this](const std::map<std::string, int64_t>& used_ms) {
      account_gossip->tell_uses(used_ms);
    };
    cluster::UsageGossipOptions gossip;
    gossip.name = options.name;
    gossip.metrics = &metrics;
    VERGE_ASSIGN(made, cluster::UsageGossip::make(loop.executor(), membership->bus(), *ledger,
                                                  std::move(gossip)));
    usage = std::move(made);
  }
  care = AccountCare::make(loop.executor(), accounts, std::move(caring));
  return {};
}

Result<void> Server::Parts::host_workers() {
  if (options.workers.empty()) return {};
  http::ServerOptions with;
  with.body_limit = [this](const http::RequestHead& head) {
    return hosting->vouched(head) ? api->body_limit(head) : 0;
  };
  with.body_coding = [this](const http::RequestHead& head) { return api->body_coding(head); };
  with.error_body = api::Api::error_body;
  inner.emplace(
      loop.executor(),
      [this](http::Incoming& in, http::Responder& out) { return answer_worker(in, out); }, with);
  VERGE_TRY(inner->listen_tcp("127.0.0.1", 0));
  return hosting->start(fmt::format("http://127.0.0.1:{}", inner->port()));
}

bool Server::Parts::is_ready() {
  drain_delay.asked(monotonic_ms());
  if (!ready || draining || accounts.unheard()) return false;
  if (!node) return !membership || membership->ready();
  // With models that do not get on, and nothing else that does, other machines are the only hope.
  return node->well() || (membership && membership->others());
}

json::value Server::Parts::status() const {
  json::value status = node ? node->status()
                            : json::value(json::object{{"name", options.name},
                                                       {"state", draining ? "draining" : "up"},
                                                       {"models", json::array()}});
  json::object& object = status.as_object();
  if (draining) object["state"] = "draining";
  if (membership) object["cluster"] = membership->status();
  if (!options.workers.empty()) object["workers"] = hosting->status();
  if (!reloaded.empty()) object["reload"] = reloaded;
  return status;
}

json::array Server::Parts::all_nodes() const {
  json::array nodes = membership ? membership->nodes() : json::array();
  if (node) nodes.push_back(own_row(*node, options.name, options.region, draining));
  return nodes;
}

// The Host counts on every route, the Workers' too.
bool Server::Parts::for_worker(const http::RequestHead& head) const {
  return hosting->takes(head) && (hosting->names_host(head) || api->expects_host(head));
}

namespace {

http::task<void> out_of_bounds(http::Responder& out) {
  std::string body = api::Api::error_body(403, "this port is for the Workers of this server");
  co_await out.respond(403, {{"content-type", "application/json"}}, std::move(body));
}

}  // namespace

// What comes in for env.AI of hosted Workers: under the account of the one that asks, whatever it
// says.
http::task<void> Server::Parts::answer_worker(http::Incoming& in, http::Responder& out) {
  if (const api::Vouched* by = hosting->vouched(in)) return api->handle_vouched(in, out, *by);
  return out_of_bounds(out);
}

void Server::Parts::reload() {
  if (draining) return log::info("SIGHUP while stopping: nothing is read again");
  json::array errors;
  const auto step = [&](const char* what, Result<void> done) {
    if (done) return;
    log::error("not reloaded, what was there before goes on",
               {{"what", what}, {"error", done.error().message}});
    errors.emplace_back(fmt::format("{}: {}", what, done.error().message));
  };
  step("catalogue", catalogue.reload(catalogue_folders()));
  if (options.gateway() && !options.certificate.empty()) {
    auto tls = http::TlsServer::load(options.certificate, options.key);
    step("certificate", tls ? Result<void>() : Result<void>(tls.error()));
    if (tls) listener->use_tls(*tls);
  }
  hosting->reload();
  log::info("reloaded", {{"errors", static_cast<int>(errors.size())},
                         {"workers", static_cast<int>(options.workers.size())}});
  reloaded = json::object{{"at_ms", unix_ms()}, {"errors", std::move(errors)}};
}

}  // namespace verge::server
