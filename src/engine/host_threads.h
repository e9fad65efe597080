// Threads that a backend keeps on the host and that idle between its operations: its caller may borrow
// them, for sampling, instead of starting others that would compete for the same cores.
#pragma once

#include <functional>

namespace verge::engine {

// A backend that has such threads derives from this too; ask with dynamic_cast.
class HostThreads {
 public:
  virtual ~HostThreads() = default;
  // Calls body(0) … body(count - 1), each once, in any order and on any thread; returns when all are done.
  // From the thread that calls the backend's operations, never during one.
  virtual void for_each(int count, const std::function<void(int)>& body) = 0;
};

}  // namespace verge::engine
