#include "server/placing.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "cluster/heartbeat.h"
#include "cluster/wishes.h"
#include "server/node_state.h"
#include "node/node.h"
#include "router/placement.h"
#include "router/router.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;

constexpr int kStepMs = 1'000;
constexpr int kWishesMs = 5'000;       // between two looks at the wishes
constexpr int kDemandHoldsMs = 10'000;  // a gateway that is silent for so long asks for nothing
constexpr size_t kDemandBytes = 64 << 10;
constexpr size_t kGateways = 1'000;

struct GatewayDemand {
  std::string region;
  std::map<std::string, double> per_s;
  int64_t heard_at = 0;
};

class ClusterPlacing : public Placing, public std::enable_shared_from_this<ClusterPlacing> {
 public:
  ClusterPlacing(asio::any_io_executor executor, cluster::Bus& bus, Place place, router::Router* router, node::Node* node)
      : executor_(executor), bus_(bus), place_(std::move(place)), router_(router), node_(node), timer_(executor), placement_(place_.name) {}

  void start() {
    if (node_) {
      listen(cluster::kAllHeartbeats, &ClusterPlacing::heard_node);
      listen("verge.demand.*", &ClusterPlacing::heard_demand);
    }
    spawn(executor_, "placing models", [self = shared_from_this()] { return self->steps(); });
  }
  void stop() override {
    stopped_ = true;
    timer_.cancel();
  }

  http::task<Result<json::value>> wishes() override {
    auto wishes = co_await cluster::read_wishes(bus_);
    if (!wishes) co_return wishes.error();
    json::array out;
    const json::array nodes = place_.nodes();
    for (const cluster::Wish& wish : *wishes) {
      json::object row = cluster::to_json(wish);
      row["have"] = nodes_with(nodes, wish.model, "ready");
      row["loading"] = nodes_with(nodes, wish.model, "loading");
      out.push_back(std::move(row));
    }
    co_return json::value(std::move(out));
  }
  http::task<Result<void>> wish(std::string model, json::object body) override {
    auto wish = cluster::wish_of(model, body);
    if (!wish) co_return wish.error();
    cluster::Wish value = std::move(*wish);
    if (!value.pins.empty() || !value.regions.empty()) {
      auto before = co_await cluster::read_wishes(bus_);
      if (!before) co_return before.error();
      auto known = check_names(value, *before);
      if (!known) co_return known.error();
    }
    co_return co_await cluster::write_wish(bus_, std::move(value));
  }

 private:
  void listen(const std::string& subject, void (ClusterPlacing::*heard)(const cluster::Message&)) {
    bus_.subscribe(subject, [weak = weak_from_this(), heard](const cluster::Message& message) {
      if (auto self = weak.lock(); self && !self->stopped_) ((*self).*heard)(message);
    });
  }

  void heard_node(const cluster::Message& message) {
    auto heartbeat = cluster::decode_heartbeat(message.payload);
    if (!heartbeat || heartbeat->name == place_.name || message.subject != cluster::heartbeat_subject(*heartbeat)) return;
    if (heartbeat->leaving) registry_.remove(heartbeat->name);
    else registry_.heartbeat(heartbeat->name, state_of(*heartbeat), monotonic_ms());
  }

  // {"region": "eu", "per_s": {"@cf/…": 1.5}}
  void heard_demand(const cluster::Message& message) {
    if (message.payload.size() > kDemandBytes) return;
    auto value = parse_json(message.payload, 8);
    const json::object* object = value ? value->if_object() : nullptr;
    const json::object* rates = object ? get_object(*object, "per_s") : nullptr;
    if (!rates || (demands_.size() >= kGateways && !demands_.contains(message.subject))) return;
    GatewayDemand demand;
    demand.region = get_string(*object, "region").value_or("");
    demand.heard_at = monotonic_ms();
    for (const auto& [model, rate] : *rates)
      if (rate.is_number() && demand.per_s.size() < limits::kNodeModels) demand.per_s[std::string(model)] = std::clamp(rate.to_number<double>(), 0.0, 1e6);
    demands_[message.subject] = std::move(demand);
  }

  static json::array nodes_with(const json::array& nodes, const std::string& model, std::string_view state) {
    json::array out;
    for (const json::value& value : nodes) {
      const json::object* node = value.if_object();
      const json::array* models = node ? get_array(*node, "models") : nullptr;
      if (!models || get_string(*node, "state").value_or("") == "dead") continue;
      for (const json::value& one : *models)
        if (const json::object* entry = one.if_object(); entry && get_string(*entry, "id") == model && get_string(*entry, "state") == state)
          out.push_back(json::string(get_string(*node, "name").value_or("")));
    }
    return out;
  }

  // Slips of the pen. A node that was wished for before may be away for good by now.
  Result<void> check_names(const cluster::Wish& wish, const std::vector<cluster::Wish>& all) const {
    const auto before = std::ranges::find(all, wish.model, &cluster::Wish::model);
    std::set<std::string> names, regions;
    for (const json::value& value : place_.nodes()) {
      const json::object* node = value.if_object();
      if (!node) continue;
      names.insert(get_string(*node, "name").value_or(""));
      regions.insert(get_string(*node, "region").value_or(""));
    }
    const auto check = [&](const char* field, const char* what, const std::vector<std::string>& wanted, const std::vector<std::string>* had,
                           const std::set<std::string>& known) -> Result<void> {
      for (const std::string& name : wanted)
        if (!known.contains(name) && !(had && std::ranges::find(*had, name) != had->end()))
          return fail_at(Code::InvalidInput, fmt::format("/{}", field), "'/{}': no {} '{}' is known here; known: {}", field, what, name, fmt::join(known, ", "));
      return {};
    };
    VERGE_TRY(check("pins", "node", wish.pins, before == all.end() ? nullptr : &before->pins, names));
    return check("regions", "region of a node", wish.regions, before == all.end() ? nullptr : &before->regions, regions);
  }

  void tell_demand() {
    json::object rates;
    for (const auto& [model, rate] : router_->demand())
      if (rate > 0.001 && rates.size() < limits::kNodeModels) rates[model] = rate;
    bus_.publish("verge.demand." + place_.name, json::serialize(json::object{{"region", place_.region}, {"per_s", std::move(rates)}}));
  }

  void place_models(int64_t now) {
    cluster::Heartbeat own;
    own.name = place_.name;
    own.region = place_.region;
    describe(own, *node_);
    registry_.heartbeat(place_.name, state_of(own), now);
    registry_.forget(now);
    router::Demand demand;
    std::erase_if(demands_, [&](const auto& one) { return now - one.second.heard_at > kDemandHoldsMs; });
    for (const auto& [subject, one] : demands_)
      for (const auto& [model, rate] : one.per_s) demand[one.region][model] += rate;
    for (const router::PlacementAct& act : placement_.step(registry_, wishes_, demand, now)) {
      log::info(act.kind == router::PlacementAct::Kind::Load ? "loading where it is wanted" : "giving up what is not wanted here", {{"model", act.model}, {"why", act.why}});
      if (act.kind == router::PlacementAct::Kind::Load) node_->preload(act.model);
      else node_->unload(act.model);
    }
  }

  cluster::task<void> look_at_wishes() {
    auto wishes = co_await cluster::read_wishes(bus_);
    if (!wishes) co_return;  // out of reach: what was wished last still is
    wishes_.clear();
    for (const cluster::Wish& wish : *wishes) {
      router::Wish one;
      one.model = wish.model;
      one.min = wish.min;
      if (wish.max > 0) one.max = wish.max;
      one.pins = wish.pins;
      one.regions = wish.regions;
      wishes_.push_back(std::move(one));
    }
  }

  cluster::task<void> steps() {
    int64_t looked_at = 0;
    while (!stopped_) {
      boost::system::error_code ignored;
      timer_.expires_after(std::chrono::milliseconds(kStepMs));
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (stopped_) co_return;
      const int64_t now = monotonic_ms();
      if (router_) tell_demand();
      if (!node_) continue;
      if (bus_.connected() && (looked_at == 0 || now - looked_at >= kWishesMs)) {
        looked_at = now;
        co_await look_at_wishes();
        if (stopped_) co_return;
      }
      place_models(monotonic_ms());
    }
  }

  asio::any_io_executor executor_;
  cluster::Bus& bus_;
  Place place_;
  router::Router* router_;
  node::Node* node_;
  asio::steady_timer timer_;
  router::Registry registry_;  // of nodes as the bus tells of them; the router's own has other eyes
  router::Placement placement_;
  std::vector<router::Wish> wishes_;
  std::map<std::string, GatewayDemand> demands_;  // by subject
  bool stopped_ = false;
};

}  // namespace

std::shared_ptr<Placing> Placing::make(asio::any_io_executor executor, cluster::Bus& bus, Place place, router::Router* router, node::Node* node) {
  auto placing = std::make_shared<ClusterPlacing>(std::move(executor), bus, std::move(place), router, node);
  placing->start();
  return placing;
}

}  // namespace verge::server
