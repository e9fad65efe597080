// Coroutines that nobody awaits, and the loop that runs them. Every coroutine of Verge that is started and not awaited starts here:
// a client that leaves, a timer or a signal can make any of them throw, and what leaves a coroutine ends the program.
//
// SP1 Nothing that start() or the coroutine throws leaves it: it is logged under `what`, unless it is a cancellation, and told to ended().
// SP2 A coroutine that is cancelled before it waited for anything ends as any other. (Asio's own co_spawn then throws out of the loop.)
// SP3 ended() is called once, on the executor, after the coroutine's frame is gone. What it throws is logged.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <functional>
#include <memory>

namespace verge {

// Makes the coroutine; what it captures lives as long as the coroutine does.
using Start = std::function<boost::asio::awaitable<void>()>;
// Null where it came to its end.
using Ended = std::function<void(std::exception_ptr)>;

void spawn(boost::asio::any_io_executor executor, const char* what, Start start, Ended ended = {});
// One that can be cancelled: by the slot's signal, on the executor's thread.
void spawn(boost::asio::any_io_executor executor, const char* what, boost::asio::cancellation_slot slot, Start start, Ended ended);

// A coroutine run for another, which waits for it and can end it before its time.
class Interruptible {
 public:
  Interruptible(boost::asio::any_io_executor executor, const char* what);
  // True: work came to its end; false: it was interrupted. What it throws is thrown here. It has always ended when this does; where the
  // one that waits is cancelled, so is work.
  boost::asio::awaitable<bool> run(Start work);
  // From any handler of the executor's thread; before run() too.
  void interrupt();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// True for what a cancelled coroutine throws.
bool is_cancellation(const std::exception_ptr& exception);

// io.run(), and on after a handler that threw: it is logged, and the other handlers have done nothing wrong.
void run_loop(boost::asio::io_context& io);

}  // namespace verge
