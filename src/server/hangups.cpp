#include "server/hangups.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstdint>
#include <memory>

namespace verge::server {
namespace asio = boost::asio;
namespace {

// Asio's own signal sets give a signal back to its default where they go: here it has to outlive
// every object.
int counter = -1;

void count(int) {
  const int saved = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(counter, &one, sizeof one);
  errno = saved;
}

}  // namespace

void catch_hangups() {
  counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action{};
  action.sa_handler = counter < 0 ? SIG_IGN : count;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &action, nullptr);
}

struct HangupWatch::State {
  State(asio::any_io_executor executor, int fd, std::function<void()> f)
      : descriptor(std::move(executor), fd), then(std::move(f)) {}
  asio::posix::stream_descriptor descriptor;
  std::function<void()> then;  // empty once nobody watches

  static void wait(std::shared_ptr<State> state) {
    auto& descriptor = state->descriptor;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [state = std::move(state)](boost::system::error_code error) {
                            if (error || !state->then) return;
                            uint64_t times = 0;
                            const bool any = ::read(counter, &times, sizeof times) == sizeof times;
                            wait(state);
                            if (any) state->then();
                          });
  }
};

HangupWatch::HangupWatch(asio::any_io_executor executor, std::function<void()> then) {
  const int copy = counter < 0 ? -1 : ::fcntl(counter, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return;
  state_ = std::make_shared<State>(std::move(executor), copy, std::move(then));
  State::wait(state_);
}

HangupWatch::~HangupWatch() {
  if (!state_) return;
  state_->then = nullptr;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

}  // namespace verge::server
