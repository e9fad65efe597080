// A node on another machine, as a Service. Requests go straight there over the internal protocol; what is under way can be
// cut, when the node is known to be gone while its connections stand open still.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <list>
#include <memory>
#include <string>

#include "cluster/heartbeat.h"
#include "protocol/client.h"

namespace verge::cluster {

class Peer : public protocol::Service {
 public:
  Peer(boost::asio::any_io_executor executor, std::string name, http::Endpoint endpoint);

  // S1, S2 of Service. A cut, a reset or an early end is Failure{WorkerGone}; `lost` is then called.
  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  bool busy() const { return !runs_.empty(); }
  // Ends all runs with WorkerGone.
  void cut(const std::string& why);

  // Asks the node for a heartbeat. Errors: WorkerGone, also where it is not answered in time; InvalidInput.
  protocol::task<verge::Result<Heartbeat>> probe(double& rtt_ms);

  std::function<void()> started, ended, lost;  // told of every run; set by the owner

 private:
  struct Run;
  boost::asio::any_io_executor executor_;
  std::string name_;
  protocol::Client requests_;
  protocol::Client probes_;  // of its own: a probe never waits behind a request, and is no reason to open a connection
  std::list<Run*> runs_;
};

}  // namespace verge::cluster
