// SIGHUP asks a server to read its configuration again, and never ends it: not while it starts, not
// while it stops.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

namespace verge::server {

// From now on, to the end of the process. Before anything that takes time.
void catch_hangups();

// As long as it is there, calls `then` on the executor after a SIGHUP, once for all that came before
// it; also for those since catch_hangups(). On the executor's thread.
class HangupWatch {
 public:
  HangupWatch(boost::asio::any_io_executor executor, std::function<void()> then);
  ~HangupWatch();
  HangupWatch(const HangupWatch&) = delete;
  HangupWatch& operator=(const HangupWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace verge::server
