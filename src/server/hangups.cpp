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

void wait(std::shared_ptr<asio::posix::stream_descriptor> descriptor, std::function<void()> then) {
  auto& its = *descriptor;
  its.async_wait(asio::posix::stream_descriptor::wait_read,
                 [descriptor = std::move(descriptor),
                  then = std::move(then)](boost::system::error_code error) {
                   if (error) return;
                   uint64_t times = 0;
                   const bool any = ::read(counter, &times, sizeof times) == sizeof times;
                   wait(descriptor, then);
                   if (any) then();
                 });
}

}  // namespace

void catch_hangups() {
  counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action{};
  action.sa_handler = counter < 0 ? SIG_IGN : count;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &action, nullptr);
}

void on_hangup(asio::any_io_executor executor, std::function<void()> then) {
  const int copy = counter < 0 ? -1 : ::fcntl(counter, F_DUPFD_CLOEXEC, 3);
  if (copy >= 0)
    wait(std::make_shared<asio::posix::stream_descriptor>(executor, copy), std::move(then));
}

}  // namespace verge::server
