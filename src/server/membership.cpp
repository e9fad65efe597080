#include "server/membership.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "accounts/accounts.h"
#include "catalogue/catalogue.h"
#include "cluster/announcer.h"
#include "cluster/cluster.h"
#include "cluster/certificate.h"
#include "cluster/identity.h"
#include "cluster/identity_check.h"
#include "cluster/nats_bus.h"
#include "server/address.h"
#include "server/node_state.h"
#include "http/own_host.h"
#include "http/server.h"
#include "http/tls.h"
#include "node/node.h"
#include "protocol/server.h"
#include "router/registry.h"
#include "router/router.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/version.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;

// Gateways hear of a drain within a round trip; requests on their way meanwhile are still served.
constexpr int kDrainNoticeMs = 700;

class ClusterMembership : public Membership {
 public:
  ClusterMembership(asio::any_io_executor executor, MembershipOptions options) : executor_(std::move(executor)), options_(std::move(options)) {}
  ~ClusterMembership() override {
    if (view_) view_->stop();
    view_.reset();
  }

  Result<void> open();
  const std::string& name() const override { return options_.name; }
  const std::string& region() const override { return options_.region; }
  const std::string& cluster() const override { return cluster_; }
  Result<void> follow(router::Router& router, catalogue::Catalogue& catalogue) override;
  Result<void> announce(node::Node& node, protocol::Service& service) override;
  bool ready() const override;
  bool others() const override { return view_ && view_->any(); }
  json::array nodes() const override { return view_ ? view_->nodes() : json::array(); }
  json::object status() const override { return {{"role", options_.role}, {"region", options_.region}, {"bus", bus_->state()}, {"connected", bus_->connected()}}; }
  cluster::Bus& bus() override { return *bus_; }
  void stop_taking() override {
    draining_ = true;
    if (announcer_) announcer_->drain();
  }
  http::task<void> drain(int limit_ms) override;

 private:
  Result<void> check_exposure(const Address& listen) const;
  http::task<void> handle(http::Incoming& in, http::Responder& out);
  void learn(catalogue::Catalogue& catalogue, const cluster::Heartbeat& heartbeat);

  asio::any_io_executor executor_;
  MembershipOptions options_;
  std::optional<cluster::Identity> identity_;
  std::string cluster_ = "insecure";
  double latitude_ = NAN, longitude_ = NAN;
  std::unique_ptr<cluster::Bus> bus_;
  std::shared_ptr<cluster::View> view_;
  std::shared_ptr<cluster::Announcer> announcer_;
  http::Handler peers_;
  std::unique_ptr<http::Server> door_;
  size_t learned_ = 0;
  bool draining_ = false;
};

Result<void> ClusterMembership::check_exposure(const Address& listen) const {
  if (!options_.insecure) return {};
  if (!is_loopback(listen.host)) return fail(Code::Forbidden, "--insecure-cluster is for loopback addresses only, not {}: keys come from `verge cluster init` and `verge cluster join`", listen.host);
  std::string_view rest = options_.servers;
  while (!rest.empty()) {
    const std::string one(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (one.find('@') != std::string::npos) continue;  // refused later, without showing what is before it
    auto endpoint = http::parse_endpoint(one.substr(one.find("://") == std::string::npos ? 0 : one.find("://") + 3));
    if (!endpoint || !is_loopback(endpoint->host)) return fail(Code::Forbidden, "--insecure-cluster is for loopback addresses only, not {}", one);
  }
  return {};
}

Result<void> ClusterMembership::open() {
  if (!options_.insecure) {
    if (options_.keys.empty())
      return fail(Code::InvalidInput, "--cluster needs this machine's keys: --cluster-keys FOLDER, made by `verge cluster join` (or --insecure-cluster, on loopback)");
    VERGE_ASSIGN(identity, cluster::read_identity(options_.keys));
    VERGE_TRY(cluster::check_identity(identity, options_.role, unix_ms()));
    identity_ = std::move(identity);
    if (options_.metrics) {
      note_expiry(*options_.metrics, "cluster", identity_->certificate());
      note_expiry(*options_.metrics, "authority", identity_->ca());
    }
    std::ifstream authority(identity_->ca());
    std::stringstream text;
    text << authority.rdbuf();
    cluster_ = accounts::token_hash(text.str());
    // The certificate and the rights on the bus are that name's alone.
    for (auto [given, own, flag] : {std::tuple{&options_.name, &identity_->member.name, "--name"}, std::tuple{&options_.region, &identity_->member.region, "--region"}}) {
      if (!given->empty() && *given != *own) return fail(Code::InvalidInput, "{} {}: the keys in {} are those of {}", flag, *given, options_.keys, *own);
      *given = *own;
    }
  }
  if (!cluster::valid_name(options_.name)) return fail(Code::InvalidInput, "--name wants a name of this machine for the cluster: lower-case letters, digits and '-', not '{}'", options_.name);
  if (!cluster::valid_name(options_.region)) return fail(Code::InvalidInput, "--region wants lower-case letters, digits and '-', not '{}'", options_.region);
  if (!options_.coordinates.empty()) {
    int read = 0;
    const bool two = std::sscanf(options_.coordinates.c_str(), "%lf,%lf%n", &latitude_, &longitude_, &read) == 2 && read == static_cast<int>(options_.coordinates.size());
    if (!two || !(std::abs(latitude_) <= 90 && std::abs(longitude_) <= 180))
      return fail(Code::InvalidInput, "--coordinates wants degrees of latitude and longitude, as in 52.52,13.40, not '{}'", options_.coordinates);
  }
  VERGE_ASSIGN(listen, parse_address(options_.listen, "--listen"));
  VERGE_TRY(check_exposure(listen));
  cluster::NatsOptions nats;
  nats.servers = options_.servers;
  nats.name = options_.name;
  if (identity_) {
    nats.nkey_seed_file = identity_->nkey();
    nats.ca_file = identity_->ca();
    nats.certificate_file = identity_->certificate();
    nats.key_file = identity_->key();
  }
  VERGE_ASSIGN(bus, cluster::connect_nats(executor_, std::move(nats)));
  bus_ = std::move(bus);
  return {};
}

// ---- The gateway's side

// Models that only nodes know (`--model ID=PATH` there) can be asked for here.
void ClusterMembership::learn(catalogue::Catalogue& catalogue, const cluster::Heartbeat& heartbeat) {
  for (const protocol::ModelReport& model : heartbeat.models) {
    if (catalogue.find(model.id) || !catalogue::valid_id(model.id) || !catalogue.task(model.task) || learned_ >= limits::kClusterModels) continue;
    ++learned_;
    catalogue::Entry entry;
    entry.id = model.id;
    entry.task = model.task;
    entry.description = "Served by " + heartbeat.name;
    catalogue.add(std::move(entry));
    log::info("a node serves a model of its own", {{"model", model.id}, {"task", model.task}, {"node", heartbeat.name}});
  }
}

Result<void> ClusterMembership::follow(router::Router& router, catalogue::Catalogue& catalogue) {
  cluster::ViewOptions view;
  if (identity_) {
    VERGE_ASSIGN(tls, http::TlsClient::load(identity_->ca(), identity_->certificate(), identity_->key()));
    view.tls = tls;
  }
  view.memory_file = options_.data + "/nodes.json";
  if (options_.role == "both") view.self = options_.name;
  view.metrics = options_.metrics;
  view.joined = [&router](const std::string& name, protocol::Service& peer) { router.add_node(name, peer, false); };
  view.state = [this, &router, &catalogue](const cluster::Heartbeat& heartbeat) {
    learn(catalogue, heartbeat);
    router.update_node(heartbeat.name, state_of(heartbeat));
  };
  view.rtt = [&router](const std::string& name, double ms) { router.rtt(name, ms); };
  router.set_place({options_.region, latitude_, longitude_});
  view.left = [&router](const std::string& name) { router.remove_node(name); };
  view_ = cluster::View::make(executor_, *bus_, std::move(view));
  return {};
}

// ---- The node's side

http::task<void> ClusterMembership::handle(http::Incoming& in, http::Responder& out) {
  if (!in.tls && !http::names_own_host(in, {})) {
    co_await out.respond(403, {{"Content-Type", "text/plain"}}, "this door is for machines of the cluster, by its address\n");
  } else if (in.path == "/healthz" || in.path == "/readyz") {
    const bool well = in.path == "/healthz" || ready();
    co_await out.respond(well ? 200 : 503, {{"Content-Type", "application/json"}}, well ? "{\"status\":\"ready\"}" : "{\"status\":\"not ready\"}");
  } else if (in.path == "/metrics" && options_.metrics && (in.loopback || !in.tls_peer.empty())) {
    co_await out.respond(200, {{"Content-Type", metrics::Registry::kContentType}}, options_.metrics->text());
  } else if (identity_ && in.tls_peer.empty()) {
    co_await out.respond(403, {{"Content-Type", "text/plain"}}, "this door is for machines of the cluster: no certificate was shown\n");
  } else {
    co_await peers_(in, out);
  }
}

Result<void> ClusterMembership::announce(node::Node& node, protocol::Service& service) {
  VERGE_ASSIGN(listen, parse_address(options_.listen, "--listen"));
  http::ServerOptions server;
  // Who shows no certificate is refused, and fills nothing before.
  server.body_limit = [this](const http::RequestHead& head) {
    return head.path == "/v1/run" && (!identity_ || !head.tls_peer.empty()) ? limits::kFrameBytes : size_t{0};
  };
  if (identity_) {
    VERGE_ASSIGN(tls, http::TlsServer::load(identity_->certificate(), identity_->key(), identity_->ca(), true));
    server.tls = tls;
  }
  peers_ = protocol::service_handler(service, [this] { return cluster::to_json(announcer_->heartbeat()); });
  door_ = std::make_unique<http::Server>(executor_, [this](http::Incoming& in, http::Responder& out) { return handle(in, out); }, server);
  VERGE_TRY(door_->listen_tcp(listen.host, listen.port));
  std::string advertise = options_.advertise;
  if (advertise.empty()) {
    if (listen.host == "0.0.0.0" || listen.host == "::") return fail(Code::InvalidInput, "--advertise HOST:PORT is needed: others cannot reach {}", options_.listen);
    advertise = fmt::format("{}:{}", listen.host, door_->port());
  }
  VERGE_ASSIGN(advertised, parse_address(advertise, "--advertise"));
  if (options_.insecure && !is_loopback(advertised.host)) return fail(Code::Forbidden, "--insecure-cluster is for loopback addresses only, not {}", advertise);

  cluster::AnnouncerOptions announcer;
  announcer.name = options_.name;
  announcer.region = options_.region;
  announcer.latitude = latitude_;
  announcer.longitude = longitude_;
  announcer.address = advertise;
  announcer.software = version();
  announcer.fill = [&node](cluster::Heartbeat& heartbeat) { describe(heartbeat, node); };
  announcer.name_taken = [this](const std::string& address) {
    options_.fatal(fmt::format("a node named {} is in the cluster already, at {}: give this one another --name", options_.name, address));
  };
  announcer_ = cluster::Announcer::make(executor_, *bus_, std::move(announcer));
  log::info("node of the cluster", {{"name", options_.name}, {"region", options_.region}, {"address", advertise}, {"tls", identity_ ? "mutual" : "none"}});
  return {};
}

bool ClusterMembership::ready() const {
  if (draining_) return false;
  if (announcer_) return announcer_->announced();
  return view_ && view_->any();
}

http::task<void> ClusterMembership::drain(int limit_ms) {
  stop_taking();
  if (announcer_) {
    asio::steady_timer timer(executor_, std::chrono::milliseconds(limit_ms > 0 ? kDrainNoticeMs : 0));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_await door_->drain(limit_ms);
    announcer_->leave();
  }
  if (view_) view_->stop();
}

}  // namespace

void note_expiry(metrics::Registry& registry, const std::string& name, const std::string& certificate_file) {
  auto facts = cluster::read_certificate(certificate_file);
  if (!facts) return;
  registry.gauge("verge_certificate_expiry_seconds", "When a certificate in use expires, in seconds since 1970-01-01 UTC.", {"certificate"})
      .set(static_cast<double>(facts->not_after_s), {name});
}

json::object own_row(node::Node& node, const std::string& name, const std::string& region, bool draining) {
  cluster::Heartbeat heartbeat;
  heartbeat.name = name;
  heartbeat.region = region;
  heartbeat.software = version();
  describe(heartbeat, node);
  return cluster::node_row(heartbeat, draining ? "draining" : "up", 0, 0, 0);
}

Result<std::unique_ptr<Membership>> Membership::make(asio::any_io_executor executor, MembershipOptions options) {
  auto membership = std::make_unique<ClusterMembership>(std::move(executor), std::move(options));
  VERGE_TRY(membership->open());
  return std::unique_ptr<Membership>(std::move(membership));
}

}  // namespace verge::server
