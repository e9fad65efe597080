// A server's place in a cluster: `verge serve --role … --cluster …`. Joins the cluster's bus, tells of this machine's node,
// opens the door for other machines, and keeps the router's list of nodes. Owner: server::Server, on its io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

#include "http/message.h"
#include "support/error.h"
#include "support/json.h"
#include "support/metrics.h"

namespace verge::catalogue {
class Catalogue;
}
namespace verge::cluster {
class Bus;
}
namespace verge::node {
class Node;
}
namespace verge::protocol {
class Service;
}
namespace verge::router {
class Router;
}

namespace verge::server {

struct MembershipOptions {
  std::string servers;              // --cluster
  std::string role;                 // "gateway", "node", "both"
  std::string name, region;         // empty: those of the keys
  std::string coordinates;          // "LAT,LON" in degrees, or empty
  std::string keys;                 // folder of `verge cluster join`; empty with `insecure`
  bool insecure = false;            // no keys, no TLS: loopback only
  std::string listen, advertise;    // of the node's door, HOST:PORT; empty advertise = listen
  std::string data;                 // data folder
  metrics::Registry* metrics = nullptr;
  std::function<void(std::string)> fatal;  // the program must end, with this message
};

// The metric of a certificate's end: "cluster", "authority" or "server" (--tls-cert).
void note_expiry(metrics::Registry& registry, const std::string& name, const std::string& certificate_file);

// This process's own node, as `verge nodes` lists it.
json::object own_row(node::Node& node, const std::string& name, const std::string& region, bool draining);

class Membership {
 public:
  // Checks the options and reads keys; fills in name and region. Starts nothing. Errors: InvalidInput, Io, Forbidden.
  static Result<std::unique_ptr<Membership>> make(boost::asio::any_io_executor executor, MembershipOptions options);
  virtual ~Membership() = default;

  virtual const std::string& name() const = 0;
  virtual const std::string& region() const = 0;
  // Tells this cluster from others.
  virtual const std::string& cluster() const = 0;
  // For roles with a gateway: nodes of the cluster come to `router`, their models to `catalogue`.
  virtual Result<void> follow(router::Router& router, catalogue::Catalogue& catalogue) = 0;
  // For roles with a node: opens the door, behind which `service` answers, and announces `node`.
  virtual Result<void> announce(node::Node& node, protocol::Service& service) = 0;
  // Whether requests could be served: some node is known, and this one's door is open.
  virtual bool ready() const = 0;
  // A gateway that reaches another node.
  virtual bool others() const = 0;
  // [{name, region, state, models, …}], for `verge nodes`; without this process's own node.
  virtual json::array nodes() const = 0;
  virtual json::object status() const = 0;
  virtual cluster::Bus& bus() = 0;

  // SIGTERM: says that nothing new is wanted.
  virtual void stop_taking() = 0;
  // Gives gateways a moment to hear that, lets requests of other machines end (within limit_ms),
  // and says good-bye.
  virtual http::task<void> drain(int limit_ms) = 0;
};

}  // namespace verge::server
