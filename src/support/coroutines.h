// What spawn() (support/spawn.h) has started on a loop and has not ended: what the loop's owner has
// to wait for before the objects go that coroutines use.
#pragma once

#include <boost/asio/execution_context.hpp>

#include <map>
#include <string>

namespace verge {

// Coroutines under way, by the name that spawn() was given. On the loop's thread, or while no
// thread runs it.
std::map<std::string, int> coroutines_of(boost::asio::execution_context& loop);

}  // namespace verge
