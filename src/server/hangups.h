// SIGHUP asks a server to read its configuration again, and never ends it: not while it starts, not
// while it stops.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>

namespace verge::server {

// From now on, to the end of the process. Before anything that takes time.
void catch_hangups();

// Calls `then` on the executor after a SIGHUP, once for all that came before it; also for those
// since catch_hangups().
void on_hangup(boost::asio::any_io_executor executor, std::function<void()> then);

}  // namespace verge::server
