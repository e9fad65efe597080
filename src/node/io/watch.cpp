#include "node/io/watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cassert>
#include <utility>

#include "support/io_thread.h"

namespace verge::node {
namespace {

namespace asio = boost::asio;

constexpr uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;

// Shared with the pending read, which outlives the Watch for a moment.
struct Shared {
  Shared(const asio::any_io_executor& executor, int fd) : events(executor, fd) {}
  asio::posix::stream_descriptor events;
  std::array<char, 16 << 10> buffer;
  std::function<void()> changed;
};

void read(const std::shared_ptr<Shared>& shared) {
  shared->events.async_read_some(asio::buffer(shared->buffer), [shared](boost::system::error_code ec, size_t) {
    if (ec || !shared->changed) return;
    shared->changed();
    read(shared);
  });
}

class Inotify : public Watch {
 public:
  Inotify(const asio::any_io_executor& executor, int fd, std::function<void()> changed) : fd_(fd), shared_(std::make_shared<Shared>(executor, fd)) {
    shared_->changed = std::move(changed);
    read(shared_);
  }
  ~Inotify() override {
    shared_->changed = nullptr;
    boost::system::error_code ignored;
    shared_->events.cancel(ignored);
  }
  bool add(const std::string& path) override {
    assert(!on_io_thread());
    return ::inotify_add_watch(fd_, path.c_str(), kEvents) >= 0;
  }

 private:
  const int fd_;  // of shared_->events; the kernel takes calls of other threads
  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Watch> Watch::make(asio::any_io_executor executor, std::function<void()> changed) {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return nullptr;
  return std::make_unique<Inotify>(executor, fd, std::move(changed));
}

}  // namespace verge::node
