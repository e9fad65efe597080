// The node's side: tells the cluster about itself, once a second and whenever it is asked to.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

#include "cluster/bus.h"
#include "cluster/heartbeat.h"

namespace verge::cluster {

struct AnnouncerOptions {
  std::string name, region, address, software;
  double latitude = NAN, longitude = NAN;
  std::function<void(Heartbeat&)> fill;         // models, memory: what changes
  // Another live node has this one's name. Called once, before the first heartbeat was sent.
  std::function<void(const std::string& address)> name_taken;
};

class Announcer {
 public:
  // Listens for a namesake first (three heartbeats' time), then speaks. `bus` outlives it.
  static std::shared_ptr<Announcer> make(boost::asio::any_io_executor executor, Bus& bus, AnnouncerOptions options);
  virtual ~Announcer() = default;

  // The next heartbeat, for whoever asks directly.
  virtual Heartbeat heartbeat() = 0;
  virtual bool announced() const = 0;  // it has begun to speak
  // From now on the node says that it takes nothing new; at once, and again each second.
  virtual void drain() = 0;
  virtual void leave() = 0;  // the last word
};

}  // namespace verge::cluster
