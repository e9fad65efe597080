// Listeners, the accept loops, the sweep of deadlines and the drain. A connection's own life is in
// connection.cpp.
#include "http/server.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "http/connection.h"
#include "http/tls.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::http {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsAtOnce = 64;       // then the connections that are there get their turn
constexpr int kDescriptorPauseMs = 50;   // out of descriptors: until some are closed
constexpr int kLastWordMs = 2'000;       // drain: after the cancellations, for the handlers to unwind
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";

Peer name_peer(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {fmt::format("{}:{}", text, ntohs(v4.sin_port)), (ntohl(v4.sin_addr.s_addr) >> 24) == 127};
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {  // an IPv4 client of a dual-stack socket
      const unsigned char* v4 = v6.sin6_addr.s6_addr + 12;
      return {fmt::format("{}.{}.{}.{}:{}", v4[0], v4[1], v4[2], v4[3], ntohs(v6.sin6_port)), v4[0] == 127};
    }
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return {fmt::format("[{}]:{}", text, ntohs(v6.sin6_port)), static_cast<bool>(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr))};
  }
  return {"unix", true};
}

// Who counts as one client: an address, or the network of 64 bits that every machine with IPv6 has to itself.
std::string client_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  if (address.ss_family == AF_INET6) {
    in6_addr network = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(&network)) std::memset(network.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &network, text, sizeof text);
  }
  return text;
}

// The address of this end of a connection.
std::string local_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(address).sin_addr, text, sizeof text);
  if (address.ss_family == AF_INET6) inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  return text;
}

struct Fd {
  int fd = -1;
  explicit Fd(int f) : fd(f) {}
  ~Fd() { reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  void reset() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int release() { return std::exchange(fd, -1); }
};

Error os_error(std::string_view what) { return fail(Code::Io, "{}: {}", what, std::strerror(errno)); }

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor executor, Handler handler, ServerOptions options) : sweep_timer(executor), spare(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    shared = std::make_shared<Shared>();
    shared->executor = executor;
    shared->handler = std::move(handler);
    shared->options = std::move(options);
    const ServerOptions& o = shared->options;
    sweep_ms = std::clamp(std::min({o.header_timeout_ms, o.body_timeout_ms, o.idle_timeout_ms, o.write_timeout_ms}) / 4, 5, 1000);
  }

  Result<void> adopt(int fd);
  task<void> accept_loop(std::shared_ptr<asio::posix::stream_descriptor> listener, int family);
  bool accept_one(int listener, int family);
  void admit(int fd, int family, const sockaddr_storage& address);
  void sweep();
  void stop_accepting();

  std::shared_ptr<Shared> shared;
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> listeners;
  asio::steady_timer sweep_timer;
  bool sweeping = false;
  bool out_of_descriptors = false;
  int sweep_ms = 1000;
  uint16_t port = 0;
  std::string unix_path;
  Fd spare;  // given up for a moment when descriptors run out, so that the client gets an answer
};

Result<void> Server::Impl::adopt(int fd) {
  Fd guard(fd);
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return os_error("getsockname");
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening) return fail(Code::Io, "not a listening socket");
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (port == 0 && address.ss_family == AF_INET) port = ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  if (port == 0 && address.ss_family == AF_INET6) port = ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  auto listener = std::make_shared<asio::posix::stream_descriptor>(shared->executor);
  error_code ec;
  listener->assign(fd, ec);
  if (ec) return fail(Code::Io, "listening socket: {}", ec.message());
  guard.release();
  listeners.push_back(listener);
  spawn(shared->executor, "accepting connections", [self = shared_from_this(), listener, family = address.ss_family] { return self->accept_loop(listener, family); });
  return {};
}

task<void> Server::Impl::accept_loop(std::shared_ptr<asio::posix::stream_descriptor> listener, int family) {
  asio::steady_timer pause(shared->executor);
  while (listener->is_open()) {
    error_code ec;
    co_await listener->async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return;
    for (int i = 0; i < kAcceptsAtOnce && listener->is_open(); ++i)
      if (!accept_one(listener->native_handle(), family)) break;
    if (std::exchange(out_of_descriptors, false)) {
      pause.expires_after(std::chrono::milliseconds(kDescriptorPauseMs));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
  }
}

// False: nobody waits, or nobody can be let in now.
bool Server::Impl::accept_one(int listener, int family) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  const int fd = ::accept4(listener, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    address.ss_family = static_cast<sa_family_t>(family);
    admit(fd, family, address);
    return true;
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    // The kernel looks for a descriptor first: nobody need be waiting.
    pollfd waiting{listener, POLLIN, 0};
    if (::poll(&waiting, 1, 0) != 1) return false;
    log::warn("no descriptor for a new connection", {{"connections", shared->connections.size()}});
    if (shared->evict_idle()) return true;  // its descriptor is free
    spare.reset();
    const int turned_away = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (turned_away >= 0) {
      [[maybe_unused]] const ssize_t n = ::send(turned_away, kFull.data(), kFull.size(), MSG_NOSIGNAL);
      ::close(turned_away);
    }
    spare.fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    out_of_descriptors = true;
    return false;
  }
  return errno == ECONNABORTED || errno == EINTR;  // that client left; the next may be there
}

void Server::Impl::admit(int fd, int family, const sockaddr_storage& address) {
  Fd guard(fd);
  // Whoever waits with nothing to say makes room, or one client with many connections would shut out all others.
  if (shared->connections.size() >= shared->options.connections && !shared->evict_idle()) {
    [[maybe_unused]] const ssize_t n = ::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL);
    return;
  }
  if (family != AF_UNIX) {
    const int on = 1, unsent = limits::kUnsentBytes;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  }
  Stream::Socket socket(shared->executor);
  error_code ec;
  socket.assign(asio::generic::stream_protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP), fd, ec);
  if (ec) return;
  guard.release();
  Peer peer = name_peer(address);
  peer.address = client_address(address);
  if (family != AF_UNIX) peer.local = local_address(fd);
  std::make_shared<Connection>(shared, std::move(socket), std::move(peer), family == AF_UNIX ? nullptr : shared->options.tls.get())->start();
  if (!sweeping) sweep();
}

// Looks at all deadlines a few times in the shortest of them, as long as there are connections.
void Server::Impl::sweep() {
  sweeping = true;
  sweep_timer.expires_after(std::chrono::milliseconds(sweep_ms));
  sweep_timer.async_wait([weak = weak_from_this()](error_code ec) {
    auto self = weak.lock();
    if (ec || !self) return;
    const int64_t now = monotonic_ms();
    // sweep() may end a connection, but never inside the call: its coroutine holds it.
    for (Connection* connection : self->shared->connections) connection->sweep(now);
    if (self->shared->connections.empty()) self->sweeping = false;
    else self->sweep();
  });
}

void Server::Impl::stop_accepting() {
  for (auto& listener : listeners) {
    error_code ignored;
    listener->close(ignored);
  }
  listeners.clear();
  if (!unix_path.empty()) ::unlink(unix_path.c_str());
  unix_path.clear();
}

Server::Server(asio::any_io_executor executor, Handler handler, ServerOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(handler), std::move(options))) {}

Server::~Server() {
  impl_->stop_accepting();
  impl_->sweep_timer.cancel();
  for (Connection* connection : impl_->shared->connections) connection->cancel();
}

Result<void> Server::listen_tcp(const std::string& host, uint16_t port) {
  error_code ec;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, ec);
  if (ec) return fail(Code::InvalidInput, "cannot listen on \"{}\": not an IP address", host);
  Fd fd(::socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.fd < 0) return os_error("socket");
  const int on = 1;
  ::setsockopt(fd.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  socklen_t length;
  if (address.is_v6()) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    const auto bytes = address.to_v6().to_bytes();
    std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
    v6.sin6_scope_id = static_cast<uint32_t>(address.to_v6().scope_id());
    length = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.to_v4().to_uint());
    length = sizeof v4;
  }
  if (::bind(fd.fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return os_error(fmt::format("cannot listen on {}:{}", host, port));
  if (::listen(fd.fd, kBacklog) != 0) return os_error(fmt::format("cannot listen on {}:{}", host, port));
  return impl_->adopt(fd.release());
}

Result<void> Server::listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Code::InvalidInput, "socket path \"{}\" is longer than {} bytes", path, sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.fd < 0) return os_error("socket");
  struct stat existing{};
  if (::lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode)) return fail(Code::Io, "{} exists and is no socket", path);
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN)
      return fail(Code::Io, "{} is in use by a running server", path);
    ::unlink(path.c_str());
  }
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0 || ::listen(fd.fd, kBacklog) != 0) return os_error(fmt::format("cannot listen on {}", path));
  impl_->unix_path = path;
  return impl_->adopt(fd.release());
}

Result<void> Server::adopt(int listening_fd) { return impl_->adopt(listening_fd); }

void Server::use_tls(std::shared_ptr<TlsServer> tls) { impl_->shared->options.tls = std::move(tls); }

uint16_t Server::port() const { return impl_->port; }
size_t Server::connections() const { return impl_->shared->connections.size(); }
size_t Server::running() const { return impl_->shared->running; }
void Server::stop_accepting() { impl_->stop_accepting(); }
void Server::close_after_answers() { impl_->shared->draining = true; }

task<void> Server::drain(int limit_ms) {
  const auto impl = impl_;  // the server may be destroyed while this waits
  impl->stop_accepting();
  Shared& shared = *impl->shared;
  shared.draining = true;
  const auto connections = shared.connections;  // a copy: ending ones leave the set
  for (Connection* connection : connections)
    if (shared.connections.count(connection)) connection->drain();
  const auto wait_until_empty = [&](int ms) -> task<void> {
    asio::steady_timer timer(shared.executor);
    const int64_t end = monotonic_ms() + ms;
    while (!shared.connections.empty() && monotonic_ms() < end) {
      timer.expires_after(std::chrono::milliseconds(std::clamp<int64_t>(end - monotonic_ms(), 1, 5)));
      co_await timer.async_wait(asio::use_awaitable);
    }
  };
  co_await wait_until_empty(limit_ms);
  if (shared.connections.empty()) co_return;
  log::warn("drain limit reached", {{"connections", shared.connections.size()}, {"running", shared.running}});
  const auto left = shared.connections;
  for (Connection* connection : left)
    if (shared.connections.count(connection)) connection->cancel();
  co_await wait_until_empty(kLastWordMs);
}

}  // namespace verge::http
