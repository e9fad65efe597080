// Helpers of socket tests: an io_context that runs until a coroutine ends, and a raw client socket.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace verge {

namespace asio = boost::asio;

// Runs a coroutine to its end; what it throws, the test sees.
template <class F>
void run_to_end(asio::io_context& io, F f) {
  std::exception_ptr failure;
  bool done = false;
  asio::co_spawn(io, std::move(f), [&](std::exception_ptr e) {
    failure = e;
    done = true;
  });
  io.restart();
  while (!done && io.run_one() > 0) {
  }
  if (failure) std::rethrow_exception(failure);
  ASSERT_TRUE(done) << "the loop ran dry before the test ended";
}

// Runs the loop until the condition holds.
inline void run_until(asio::io_context& io, const std::function<bool()>& condition) {
  io.restart();
  while (!condition()) {
    // The timer only keeps the loop from running dry; nothing waits for it.
    asio::steady_timer keep(io, std::chrono::milliseconds(5));
    keep.async_wait([](auto) {});
    io.run_one();
  }
}

// A blocking client that shares the thread with the server: it runs the loop while it waits.
class RawClient {
 public:
  RawClient(asio::io_context& io, uint16_t port) : io_(io), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address));
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
      else if (errno != EAGAIN) return;  // the server closed: the answer says why
      if (!text.empty()) turn();
    }
  }
  // Reads until the text is there, or the connection ends.
  std::string read_until(std::string_view text) {
    while (received_.find(text) == std::string::npos && pull()) {
    }
    return received_;
  }
  std::string read_to_end() {
    while (pull()) {
    }
    return received_;
  }
  void clear() { received_.clear(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }

 private:
  void turn() {
    asio::steady_timer keep(io_, std::chrono::milliseconds(2));
    keep.async_wait([](auto) {});
    io_.restart();
    io_.run_one();
    io_.poll();
  }
  bool pull() {
    char bytes[65536];
    while (true) {
      const ssize_t n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
      if (n > 0) received_.append(bytes, static_cast<size_t>(n));
      if (n >= 0) return n > 0;
      if (errno != EAGAIN) return false;
      turn();
    }
  }

  asio::io_context& io_;
  int fd_;
  std::string received_;
};

inline size_t open_descriptors() {
  size_t count = 0;
  for (int fd = 0; fd < 4096; ++fd)
    if (::fcntl(fd, F_GETFD) != -1) ++count;
  return count;
}

}  // namespace verge
