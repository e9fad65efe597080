// The loop of a server, and how it ends: the parts of a server are used by coroutines on it, so all
// of these have to be over before the first part goes.
//
// LO1 Where settle() says so, no coroutine that spawn() started runs but the one that called it.
// LO2 A coroutine that does not end in time is named in the log and destroyed where it waits, while
//     the parts are still there.
// LO3 Handlers that were cancelled with their timer or socket run once more in the destructor, so
//     that none of them keeps a part.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>

namespace verge::server {

class Loop {
 public:
  Loop() = default;
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  boost::asio::io_context::executor_type executor() { return context_.get_executor(); }
  // Runs on the calling thread until stop(); again after that, too.
  void run();
  void stop() { context_.stop(); }
  // From any thread: calls it on the loop.
  void post(std::function<void()> work);

  // Waits for all coroutines but the caller, whose name is `self`, at the most for so long. False:
  // some go on; the log names them.
  boost::asio::awaitable<bool> settle(const char* self, int limit_ms);
  // Destroys what still waits. Not from within run(); the loop cannot run after it.
  void abandon();

 private:
  // Asio lets derived classes alone end what waits.
  struct Context : boost::asio::io_context {
    Context() : io_context(1) {}
    using io_context::shutdown;
  };
  Context context_;
  bool abandoned_ = false;
};

}  // namespace verge::server
