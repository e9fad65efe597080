// The one interface between layers: router, node and the client of a worker all are a Service,
// so they nest, and a test can put its own at any door.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "protocol/event.h"
#include "protocol/request.h"

namespace verge::protocol {

template <class T>
using task = boost::asio::awaitable<T>;

// Where events go. put() waits until the receiver has room; false = the receiver is gone, and the
// Service returns from run() without further events.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual task<bool> put(Event event) = 0;
  // The receiver has taken nothing for a second, and what it was given waits for it. An answer that can be resumed is
  // given up then, for what it holds downstream, until caught_up() returns; false = the receiver is gone.
  virtual bool stalled() const { return false; }
  virtual task<bool> caught_up() { co_return true; }
};

// S1 run() puts exactly one terminal event (End or Failure), last, unless put() returned false or
//    the coroutine was cancelled.
// S2 run() is cancelled through Asio's cancellation slot (total or terminal); it then frees what it
//    holds downstream (closing the connection is the signal) before it ends.
// S3 All of one process's services run on one io_context thread: no locks.
class Service {
 public:
  virtual ~Service() = default;
  virtual task<void> run(Request request, EventSink& sink) = 0;
};

}  // namespace verge::protocol
