#include "node/io/model_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "node/io/part_file.h"

namespace verge::node {

Result<ModelLock> ModelLock::take(const std::string& models_folder, const std::string& id,
                                  const std::function<void()>& waiting) {
  const std::string locks = models_folder + "/.locks";
  VERGE_TRY(make_folders(locks));
  std::string name = id;
  std::ranges::replace(name, '/', '+');
  const std::string path = locks + "/" + name;
  ModelLock lock;
  lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock.fd_ < 0) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  waiting();
  while (::flock(lock.fd_, LOCK_EX) != 0) {
    if (errno != EINTR) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  }
  return lock;
}

ModelLock::ModelLock(ModelLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

ModelLock::~ModelLock() {
  if (fd_ >= 0) ::close(fd_);  // lets go of it
}

}  // namespace verge::node
