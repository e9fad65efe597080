// Small jobs that are done beside the forward pass, each at the latest when somebody needs it.
#pragma once

#include <functional>

namespace verge::worker {

class Aside {
 public:
  virtual ~Aside() = default;
  // body(0) … body(count - 1) may run from now on, on another thread; each runs once at most.
  // Those of the call before are all needed by then. Does not wait.
  virtual void begin(int count, std::function<void(int)> body) = 0;
  // body(i) has run when it returns: here where nobody has begun it. From any thread.
  virtual void need(int i) = 0;
};

}  // namespace verge::worker
