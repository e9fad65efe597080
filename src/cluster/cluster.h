// The shell of a gateway's view of the cluster: listens on the bus, probes nodes, keeps a Peer for each. The decisions
// are in members.h. One io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

#include "cluster/bus.h"
#include "cluster/members.h"
#include "cluster/peer.h"
#include "support/metrics.h"

namespace verge::http {
class TlsClient;
}

namespace verge::cluster {

struct ViewOptions {
  std::shared_ptr<http::TlsClient> tls;  // towards nodes; null = in clear (loopback only)
  std::string memory_file;               // nodes of the last run, to find the cluster without its bus; empty = none
  std::string self;                      // a node of this name is this process: not a peer
  metrics::Registry* metrics = nullptr;
  // What the router must know. All are called on the io thread; a Peer lives from `joined` to after `left`.
  std::function<void(const std::string& name, protocol::Service& peer)> joined;
  std::function<void(const Heartbeat& heartbeat)> state;
  std::function<void(const std::string& name, double ms)> rtt;
  std::function<void(const std::string& name)> left;
};

// One node as lists show it, see View::nodes().
json::object node_row(const Heartbeat& heartbeat, const char* state, double rtt_ms, int64_t heard_ms, int under_way);

class View {
 public:
  // `bus` outlives the view.
  static std::shared_ptr<View> make(boost::asio::any_io_executor executor, Bus& bus, ViewOptions options);
  virtual ~View() = default;

  // Stops probing and saves memory_file; peers stay until the view is destroyed.
  virtual void stop() = 0;
  // Whether some node can be reached now.
  virtual bool any() const = 0;
  // [{name, region, address, state: "up"|"draining"|"suspect"|"unreachable"|"dead", rtt_ms, memory_free_bytes, software, heard_ms,
  //   under_way, models: [{id, state, queued, running}]}]
  virtual json::array nodes() const = 0;
};

// TLS name of a node's certificate, checked whatever its address.
inline std::string certificate_name(const std::string& node) { return node + ".node.verge"; }

}  // namespace verge::cluster
