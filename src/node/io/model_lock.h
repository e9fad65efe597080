// One pull or removal of a model at once, over all processes: a lock in MODELS/.locks. Freed when
// it goes out of scope.
#pragma once

#include <functional>
#include <string>

#include "support/error.h"

namespace verge::node {

class ModelLock {
 public:
  // Waits for who has it; `waiting` is called once before. Io.
  static Result<ModelLock> take(const std::string& models_folder, const std::string& id,
                                const std::function<void()>& waiting);
  ModelLock(ModelLock&& other) noexcept;
  ModelLock& operator=(ModelLock&&) = delete;
  ~ModelLock();

 private:
  ModelLock() = default;
  int fd_ = -1;
};

}  // namespace verge::node
