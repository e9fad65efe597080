#include "cluster/cluster.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "protocol/liveness.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

constexpr int kTickMs = 100;
constexpr int kSaveMs = 30'000;

class ClusterView : public View, public std::enable_shared_from_this<ClusterView> {
 public:
  ClusterView(asio::any_io_executor executor, Bus& bus, ViewOptions options) : executor_(std::move(executor)), bus_(bus), options_(std::move(options)), timer_(executor_) {
    if (!options_.metrics) return;
    cuts_ = options_.metrics->counter("verge_cluster_cuts_total", "Nodes given up on while requests might have been under way there.");
    nodes_ = options_.metrics->gauge("verge_cluster_nodes", "Nodes that this gateway knows.", {"state"});
    rtt_ = options_.metrics->gauge("verge_cluster_rtt_seconds", "Round trip to a node, as last probed.", {"node"});
    bus_up_ = options_.metrics->gauge("verge_cluster_bus_connected", "1 while the bus (NATS) is connected.");
  }

  void start() {
    bus_.subscribe(kAllHeartbeats, [weak = weak_from_this()](const Message& message) {
      if (auto self = weak.lock()) self->received(message);
    });
    remember();
    spawn(executor_, "watching the cluster", [self = shared_from_this()] { return self->ticks(); });
  }

  void stop() override {
    stopped_ = true;
    timer_.cancel();
    save();
  }
  bool any() const override;
  json::array nodes() const override;

 private:
  void received(const Message& message);
  void apply(Members::Actions actions);
  task<void> probe(std::string name, std::shared_ptr<Peer> peer);
  task<void> ticks();
  void join(const std::string& name, const std::string& address);
  void remember();
  void save();
  void count(int64_t now);
  const char* state_of(const Members::Member& member, int64_t now) const;

  asio::any_io_executor executor_;
  Bus& bus_;
  ViewOptions options_;
  asio::steady_timer timer_;
  Members members_;
  std::map<std::string, std::shared_ptr<Peer>> peers_;
  std::vector<std::shared_ptr<Peer>> former_;  // with requests that are about to end
  std::map<std::string, int64_t> complaints_;   // text -> when it was last said
  int64_t saved_at_ = 0;
  bool stopped_ = false;
  metrics::Counter cuts_;
  metrics::Gauge nodes_, rtt_, bus_up_;
};

void ClusterView::received(const Message& message) {
  if (stopped_) return;
  auto heartbeat = decode_heartbeat(message.payload);
  std::string complaint;
  if (!heartbeat) complaint = heartbeat.error().message;
  else if (message.subject != heartbeat_subject(*heartbeat)) complaint = fmt::format("a heartbeat of node {} came on {}", heartbeat->name, message.subject);
  if (complaint.empty()) {
    if (heartbeat->name != options_.self) apply(members_.heartbeat(*heartbeat, monotonic_ms()));
    return;
  }
  // Whoever sends nonsense sends it every second: once a minute is enough to know.
  if (complaints_.size() > 1000) complaints_.clear();
  int64_t& said = complaints_[complaint];
  if (said == 0 || monotonic_ms() - said > 60'000) {
    said = monotonic_ms();
    log::warn("a message of the cluster was left out", {{"why", complaint}, {"subject", message.subject}});
  }
}

void ClusterView::join(const std::string& name, const std::string& address) {
  auto endpoint = http::parse_endpoint(address);
  if (!endpoint || !endpoint->unix_path.empty()) {
    log::warn("a node's address cannot be used", {{"node", name}, {"address", address}});
    return;
  }
  endpoint->tls = options_.tls;
  endpoint->tls_name = certificate_name(name);
  auto peer = std::make_shared<Peer>(executor_, name, std::move(*endpoint));
  peer->started = [this, name] { members_.started(name); };
  peer->ended = [this, name] { members_.ended(name); };
  peer->lost = [this, name] { apply(members_.connection_lost(name, monotonic_ms())); };
  peers_[name] = peer;
  log::info("node joined", {{"node", name}, {"address", address}});
  options_.joined(name, *peer);
}

void ClusterView::apply(Members::Actions actions) {
  if (stopped_) return;
  for (Members::Action& action : actions) {
    if (auto* one = std::get_if<Members::Join>(&action)) {
      join(one->name, one->address);
    } else if (auto* state = std::get_if<Members::State>(&action)) {
      const Members::Member* member = members_.find(state->name);
      if (member && peers_.count(state->name)) options_.state(member->last);
    } else if (auto* cut = std::get_if<Members::Cut>(&action)) {
      log::warn("node given up", {{"node", cut->name}, {"why", cut->why}});
      if (options_.metrics) cuts_.add();
      if (auto it = peers_.find(cut->name); it != peers_.end()) it->second->cut(cut->why);
    } else if (auto* leave = std::get_if<Members::Leave>(&action)) {
      auto it = peers_.find(leave->name);
      if (it == peers_.end()) continue;
      log::info("node left", {{"node", leave->name}});
      options_.left(leave->name);
      it->second->started = it->second->ended = it->second->lost = nullptr;
      former_.push_back(std::move(it->second));
      peers_.erase(it);
    } else if (auto* ask = std::get_if<Members::Probe>(&action)) {
      if (auto it = peers_.find(ask->name); it != peers_.end())
        spawn(executor_, "a probe", [self = shared_from_this(), name = ask->name, peer = it->second] { return self->probe(name, peer); });
      else
        apply(members_.probe_failed(ask->name, monotonic_ms()));  // its address cannot be used: nobody will answer
    } else if (auto* warning = std::get_if<Members::Warn>(&action)) {
      log::warn(warning->message);
    }
  }
}

task<void> ClusterView::probe(std::string name, std::shared_ptr<Peer> peer) {
  double rtt = 0;
  auto answer = co_await peer->probe(rtt);
  if (stopped_) co_return;
  if (!answer) {
    log::debug("probe failed", {{"node", name}, {"why", answer.error().message}});
    apply(members_.probe_failed(name, monotonic_ms()));
    co_return;
  }
  const bool own = answer->name == name;
  apply(members_.probed(name, *answer, rtt, monotonic_ms()));
  if (!own || !peers_.count(name)) co_return;
  options_.rtt(name, rtt);
  if (options_.metrics) rtt_.set(rtt / 1e3, {name});
}

task<void> ClusterView::ticks() {
  while (!stopped_) {
    boost::system::error_code ignored;
    timer_.expires_after(std::chrono::milliseconds(kTickMs));
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (stopped_) co_return;
    const int64_t now = monotonic_ms();
    apply(members_.tick(now));
    // A peer that has left is kept while somebody else holds a run on it; use_count 1 = only this list.
    std::erase_if(former_, [](const auto& peer) { return peer.use_count() == 1 && !peer->busy(); });
    if (now - saved_at_ > kSaveMs) save();
    count(now);
  }
}

void ClusterView::count(int64_t now) {
  if (!options_.metrics) return;
  std::map<std::string, int> states{{"up", 0}, {"draining", 0}, {"suspect", 0}, {"unreachable", 0}, {"dead", 0}};
  for (const auto& [name, member] : members_.all()) ++states[state_of(member, now)];
  for (const auto& [state, n] : states) nodes_.set(n, {state});
  bus_up_.set(bus_.connected() ? 1 : 0);
}

const char* ClusterView::state_of(const Members::Member& member, int64_t now) const {
  const protocol::Health health = protocol::health_after(now - member.heard_at);
  if (member.last.boot == 0 || health == protocol::Health::Dead) return "dead";
  if (member.cut) return "unreachable";
  if (member.last.draining) return "draining";
  return health == protocol::Health::Suspect ? "suspect" : "up";
}

bool ClusterView::any() const {
  const int64_t now = monotonic_ms();
  for (const auto& [name, member] : members_.all())
    if (members_.reachable(member, now)) return true;
  return false;
}

json::array ClusterView::nodes() const {
  const int64_t now = monotonic_ms();
  json::array out;
  for (const auto& [name, member] : members_.all())
    out.push_back(node_row(member.last, state_of(member, now), member.rtt_ms, now - member.heard_at, member.under_way));
  return out;
}

// ---- Nodes of the last run

void ClusterView::remember() {
  if (options_.memory_file.empty()) return;
  std::ifstream file(options_.memory_file);
  std::stringstream text;
  text << file.rdbuf();
  auto value = parse_json(text.str());
  const json::array* list = value ? value->if_array() : nullptr;
  if (!list) return;
  for (const json::value& one : *list) {
    const json::object* node = one.if_object();
    if (!node) continue;
    apply(members_.remember(get_string(*node, "name").value_or(""), get_string(*node, "region").value_or("unknown"), get_string(*node, "address").value_or(""), monotonic_ms()));
  }
}

void ClusterView::save() {
  saved_at_ = monotonic_ms();
  if (options_.memory_file.empty()) return;
  json::array list;
  for (const auto& [name, member] : members_.all())
    if (member.last.boot != 0) list.push_back(json::object{{"name", name}, {"region", member.last.region}, {"address", member.last.address}});
  if (list.empty()) return;  // what an earlier run knew is better than nothing
  const std::string part = options_.memory_file + ".part";
  std::ofstream file(part, std::ios::trunc);
  file << json::serialize(list) << "\n";
  file.close();
  std::error_code ec;
  if (file) std::filesystem::rename(part, options_.memory_file, ec);
}

}  // namespace

json::object node_row(const Heartbeat& heartbeat, const char* state, double rtt_ms, int64_t heard_ms, int under_way) {
  json::array models;
  for (const protocol::ModelReport& model : heartbeat.models)
    models.push_back(json::object{{"id", model.id},
                                  {"task", model.task},
                                  {"state", model.suspect ? "suspect" : model.loaded ? "ready" : model.loading ? "loading" : "cold"},
                                  {"queued", model.queued},
                                  {"running", model.running},
                                  {"queued_tokens", model.queued_tokens}});
  json::object row{{"name", heartbeat.name},
                   {"region", heartbeat.region},
                   {"address", heartbeat.address},
                   {"state", state},
                   {"rtt_ms", rtt_ms},
                   {"heard_ms", heard_ms},
                   {"memory_free_bytes", heartbeat.memory_free_bytes},
                   {"software", heartbeat.software},
                   {"under_way", under_way},
                   {"models", std::move(models)}};
  if (std::isfinite(heartbeat.latitude) && std::isfinite(heartbeat.longitude)) {
    row["latitude"] = heartbeat.latitude;
    row["longitude"] = heartbeat.longitude;
  }
  return row;
}

std::shared_ptr<View> View::make(asio::any_io_executor executor, Bus& bus, ViewOptions options) {
  auto view = std::make_shared<ClusterView>(std::move(executor), bus, std::move(options));
  view->start();
  return view;
}

}  // namespace verge::cluster
