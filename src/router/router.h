// A Service over Services: picks a node for each request, retries before the first token, resumes
// after it. Shell of registry, choose, attempts and resume, which decide; it alone has the clock.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "protocol/service.h"
#include "support/metrics.h"

namespace verge::router {

struct NodeState;  // registry.h
struct Place;

class Router : public protocol::Service {
 public:
  // metrics may be null; both outlive the router.
  // wait_for_room: requests that no node has room for wait for a while (capacity.h); false where the caller has other nodes to ask.
  explicit Router(boost::asio::any_io_executor executor, metrics::Registry* metrics = nullptr, bool wait_for_room = true);
  ~Router() override;

  // A node that is reachable through `service`, which outlives its entry. Local nodes are never late.
  void add_node(const std::string& name, protocol::Service& service, bool local = true);
  void remove_node(const std::string& name);
  void set_draining(const std::string& name, bool draining);
  // Its model does not get on there, or does again (Registry::set_suspect).
  void set_suspect(const std::string& name, const std::string& model, bool suspect);
  // What the node last said about itself (heartbeat).
  void update_node(const std::string& name, const NodeState& state);
  // Where this process is, and a round trip to a node that somebody measured.
  void set_place(const Place& place);
  void rtt(const std::string& name, double ms);
  // Ids that a node which is not dead has said to hold.
  std::set<std::string> models() const;
  // Requests a second of late, by model.
  std::map<std::string, double> demand() const;

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::router
