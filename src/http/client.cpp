// A pool of connections to one endpoint. A connection belongs to one request at a time: to send() until
// the head is there, then to the ClientResponse, which gives it back to the pool when its body has ended
// in the proper way, and closes it in every other case.
#include "http/client.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

#include "http/parse.h"
#include "http/stream.h"
#include "http/tls.h"
#include "support/clock.h"

namespace verge::http {
namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr int kFullBacklogPauseMs = 5;  // a unix socket's listener that is behind refuses at once; TCP would wait

// An operation that was aborted, but not by our time-out, belongs to a cancelled coroutine.
void pass_cancellation(error_code ec) {
  if (ec == asio::error::operation_aborted) throw boost::system::system_error(ec);
}

// A connection and what has arrived on it. Its deadline is one lazy timer: moving it is an assignment.
struct Connection : std::enable_shared_from_this<Connection> {
  Connection(asio::any_io_executor executor) : stream(Stream::Socket(executor)), timer(executor) {}

  void set_deadline(int ms) {
    deadline = ms ? monotonic_ms() + ms : 0;
    if (ms && (!armed || deadline < fires_at)) arm();
  }
  void arm() {
    armed = true;
    fires_at = deadline;
    timer.expires_after(std::chrono::milliseconds(std::max<int64_t>(0, deadline - monotonic_ms())));
    timer.async_wait([weak = weak_from_this()](error_code ec) {
      auto self = weak.lock();
      if (ec || !self) return;
      self->armed = false;
      if (self->deadline == 0) return;
      if (monotonic_ms() < self->deadline) return self->arm();
      self->timed_out = true;
      self->stream.close();
    });
  }

  // Appends what arrives. 0 = end of stream.
  task<Result<size_t>> read_more() {
    const size_t before = buffer.size();
    buffer.resize(before + kReadBytes);
    error_code ec;
    const size_t n = co_await stream.async_read_some(asio::buffer(buffer.data() + before, kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
    buffer.resize(before + n);
    if (timed_out) co_return fail(Code::Timeout, "no answer in time");
    pass_cancellation(ec);
    if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) co_return size_t{0};
    if (ec) co_return fail(Code::Io, "connection lost: {}", ec.message());
    co_return n;
  }

  task<Result<void>> write_all(std::string_view a, std::string_view b) {
    std::string both;
    stream.join(a, b, both);
    const ssize_t taken = stream.try_write(a, b);
    if (taken < 0) co_return fail(Code::Io, "connection lost");
    size_t written = static_cast<size_t>(taken);
    while (written < a.size() + b.size()) {
      const std::string_view rest = written < a.size() ? a.substr(written) : b.substr(written - a.size());
      error_code ec;
      written += co_await stream.async_write_some(asio::buffer(rest.data(), rest.size()), asio::redirect_error(asio::use_awaitable, ec));
      if (timed_out) co_return fail(Code::Timeout, "the request was not taken in time");
      pass_cancellation(ec);
      if (ec) co_return fail(Code::Io, "connection lost: {}", ec.message());
    }
    co_return Result<void>();
  }

  // An idle connection on which something arrived is closed or out of step.
  bool still_good() {
    char byte;
    const ssize_t n = ::recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && buffer.empty();
  }

  Stream stream;
  asio::steady_timer timer;
  int64_t deadline = 0;
  int64_t fires_at = 0;  // the timer, while armed; a later deadline waits for it to fire and look again
  bool armed = false;
  bool timed_out = false;
  std::string buffer;  // read and not used yet
  int64_t idle_since = 0;
};
using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace

struct Client::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor e, Endpoint p, ClientOptions o) : executor(std::move(e)), endpoint(std::move(p)), options(o) {}

  task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request);
  task<Result<ConnectionPtr>> connect();
  task<Result<void>> connect_socket(Connection& connection);
  task<Result<void>> connect_unix(Connection& connection);
  task<Result<void>> connect_tcp(Connection& connection);
  Result<std::string> request_head(const ClientRequest& request) const;

  ConnectionPtr take_idle();
  void give_back(ConnectionPtr connection);

  asio::any_io_executor executor;
  Endpoint endpoint;
  ClientOptions options;
  std::vector<ConnectionPtr> idle;  // last used at the back
};

namespace {

struct Response : ClientResponse {
  Response(std::shared_ptr<Connection> c, std::function<void(ConnectionPtr)> r, Framing f, int t)
      : connection(std::move(c)), release(std::move(r)), framing(f), left(f.length), read_timeout_ms(t) {
    if (framing.body == BodyKind::None) end();
  }
  ~Response() override {
    if (connection) connection->stream.close();
  }

  void end() {
    connection->set_deadline(0);
    if (framing.keep_alive && connection->buffer.empty()) release(std::move(connection));
    connection.reset();
  }
  Error broken(Error error) {
    if (connection) connection->stream.close();
    connection.reset();
    failed = error;
    return error;
  }

  task<Result<std::string_view>> read() override {
    if (failed) co_return *failed;
    piece.clear();
    while (connection) {
      std::string& buffer = connection->buffer;
      if (!buffer.empty()) {
        switch (framing.body) {
          case BodyKind::None: break;
          case BodyKind::UntilClose: piece.swap(buffer); break;
          case BodyKind::Length:
            if (buffer.size() <= left) piece.swap(buffer);
            else piece = buffer.substr(0, left), buffer.erase(0, left);
            left -= piece.size();
            break;
          case BodyKind::Chunked: {
            size_t used = 0;
            const auto state = chunks.feed(buffer, SIZE_MAX, piece, used);
            buffer.erase(0, used);
            if (state == ChunkDecoder::State::Done) end();
            else if (state != ChunkDecoder::State::More) co_return broken(fail(Code::Io, "invalid chunked answer"));
            break;
          }
        }
        if (framing.body == BodyKind::Length && left == 0) end();
        if (!piece.empty()) co_return std::string_view(piece);
        if (!connection) break;
      }
      connection->set_deadline(read_timeout_ms);
      auto arrived = co_await connection->read_more();
      if (!arrived) co_return broken(arrived.error());
      if (*arrived == 0) {
        if (framing.body != BodyKind::UntilClose) co_return broken(fail(Code::Io, "the connection closed in the middle of the answer"));
        connection.reset();
      }
    }
    co_return std::string_view();
  }

  task<Result<std::string>> read_all(size_t max_bytes) override {
    std::string all;
    while (true) {
      auto more = co_await read();
      if (!more) co_return more.error();
      if (more->empty()) co_return all;
      if (more->size() > max_bytes - all.size()) co_return broken(fail(Code::TooLarge, "the answer is longer than {} bytes", max_bytes));
      all += *more;
    }
  }

  std::shared_ptr<Connection> connection;  // null once the body has ended
  std::function<void(ConnectionPtr)> release;
  Framing framing;
  uint64_t left;
  int read_timeout_ms;
  ChunkDecoder chunks;
  std::string piece;
  std::optional<Error> failed;
};

}  // namespace

// ---- Endpoint

std::string Endpoint::to_string() const {
  if (connect) return "inherited socket";
  if (!unix_path.empty()) return "unix:" + unix_path;
  return fmt::format("{}{}", tls ? "https://" : "http://", host_header());
}

std::string Endpoint::host_header() const {
  if (host.empty()) return "localhost";
  const bool v6 = host.find(':') != std::string::npos;
  const bool usual = port == (tls ? 443 : 80);
  return fmt::format("{}{}{}{}", v6 ? "[" : "", host, v6 ? "]" : "", usual ? "" : fmt::format(":{}", port));
}

Result<Endpoint> parse_endpoint(const std::string& url) {
  Endpoint endpoint;
  std::string_view rest = url;
  if (rest.substr(0, 5) == "unix:") {
    endpoint.unix_path = rest.substr(5);
    if (endpoint.unix_path.empty()) return fail(Code::InvalidInput, "\"{}\" has no socket path", url);
    return endpoint;
  }
  endpoint.port = 80;
  if (rest.substr(0, 7) == "http://") {
    rest.remove_prefix(7);
  } else if (rest.substr(0, 8) == "https://") {
    rest.remove_prefix(8);
    VERGE_ASSIGN(tls, TlsClient::load());
    endpoint.tls = tls;
    endpoint.port = 443;
  }
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const size_t close = rest.find(']');
    if (close == std::string_view::npos) return fail(Code::InvalidInput, "\"{}\" is no address", url);
    endpoint.host = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    if (!rest.empty() && rest.front() != ':') return fail(Code::InvalidInput, "\"{}\" is no address", url);
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const size_t colon = rest.find(':');
    endpoint.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  if (endpoint.host.empty() || endpoint.host.find_first_of("/?#@ \r\n") != std::string::npos) return fail(Code::InvalidInput, "\"{}\" is no address", url);
  if (!port.empty()) {
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (ec != std::errc() || end != port.data() + port.size() || endpoint.port == 0) return fail(Code::InvalidInput, "\"{}\" has no valid port", url);
  }
  return endpoint;
}

// ---- Connecting

namespace {

// The certificate has to be one for `name`, a host's name or an address.
bool expect_name(SSL* tls, const std::string& name) {
  X509_VERIFY_PARAM* wanted = SSL_get0_param(tls);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  error_code not_an_address;
  asio::ip::make_address(name, not_an_address);
  if (!not_an_address) return X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
  return SSL_set_tlsext_host_name(tls, name.c_str()) == 1 && SSL_set1_host(tls, name.c_str()) == 1;
}

}  // namespace

task<Result<ConnectionPtr>> Client::Impl::connect() {
  auto connection = std::make_shared<Connection>(executor);
  connection->set_deadline(options.connect_timeout_ms);
  auto connected = co_await connect_socket(*connection);
  if (connected && endpoint.tls) {
    error_code ec;
    const std::string& name = endpoint.tls_name.empty() ? endpoint.host : endpoint.tls_name;
    if (!connection->stream.use_tls(endpoint.tls->context(), false) || !expect_name(connection->stream.tls(), name)) ec = asio::error::no_memory;
    if (!ec) {
      co_await connection->stream.async_handshake(asio::redirect_error(asio::use_awaitable, ec));
    }
    if (!connection->timed_out) pass_cancellation(ec);
    if (ec) connected = fail(Code::Io, "TLS with {} failed: {}", endpoint.to_string(), ec.message());
  }
  if (connection->timed_out) co_return fail(Code::Timeout, "cannot connect to {}: no answer after {} ms", endpoint.to_string(), options.connect_timeout_ms);
  if (!connected) co_return connected.error();
  connection->set_deadline(0);
  co_return connection;
}

task<Result<void>> Client::Impl::connect_socket(Connection& connection) {
  if (endpoint.connect) {
    auto fd = endpoint.connect();
    if (!fd) co_return fd.error();
    ::fcntl(*fd, F_SETFL, ::fcntl(*fd, F_GETFL) | O_NONBLOCK);
    error_code ec;
    connection.stream.socket().assign(asio::generic::stream_protocol(AF_UNIX, 0), *fd, ec);
    if (!ec) co_return Result<void>();
    ::close(*fd);
    co_return fail(Code::Io, "inherited socket: {}", ec.message());
  }
  if (endpoint.unix_path.empty()) co_return co_await connect_tcp(connection);
  co_return co_await connect_unix(connection);
}

task<Result<void>> Client::Impl::connect_unix(Connection& connection) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.unix_path.size() >= sizeof address.sun_path) co_return fail(Code::InvalidInput, "socket path {} is too long", endpoint.unix_path);
  std::memcpy(address.sun_path, endpoint.unix_path.data(), endpoint.unix_path.size());
  auto& socket = connection.stream.socket();
  error_code ec;
  socket.open(asio::generic::stream_protocol(AF_UNIX, 0), ec);
  if (!ec) socket.non_blocking(true, ec);
  if (ec) co_return fail(Code::Io, "socket: {}", ec.message());
  while (::connect(socket.native_handle(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EAGAIN && errno != EINTR) co_return fail(Code::Io, "cannot connect to {}: {}", endpoint.to_string(), std::strerror(errno));
    asio::steady_timer pause(executor, std::chrono::milliseconds(kFullBacklogPauseMs));
    co_await pause.async_wait(asio::use_awaitable);
    if (connection.timed_out) co_return fail(Code::Timeout, "cannot connect to {}", endpoint.to_string());
  }
  co_return Result<void>();
}

task<Result<void>> Client::Impl::connect_tcp(Connection& connection) {
  std::vector<asio::ip::tcp::endpoint> candidates;
  error_code ec;
  const auto literal = asio::ip::make_address(endpoint.host, ec);
  if (!ec) {
    candidates.emplace_back(literal, endpoint.port);
  } else {
    asio::ip::tcp::resolver resolver(executor);
    const auto found = co_await resolver.async_resolve(endpoint.host, std::to_string(endpoint.port), asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return fail(Code::Io, "cannot find {}: {}", endpoint.host, ec.message());
    for (const auto& entry : found) candidates.push_back(entry.endpoint());
  }
  auto& socket = connection.stream.socket();
  for (const auto& candidate : candidates) {
    if (connection.timed_out) break;
    error_code ignored;
    socket.close(ignored);
    co_await socket.async_connect(asio::generic::stream_protocol::endpoint(candidate), asio::redirect_error(asio::use_awaitable, ec));
    if (!connection.timed_out) pass_cancellation(ec);
    if (ec) continue;
    const int on = 1;
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    co_return Result<void>();
  }
  co_return fail(Code::Io, "cannot connect to {}: {}", endpoint.to_string(), ec.message());
}

// ---- The pool

ConnectionPtr Client::Impl::take_idle() {
  const int64_t oldest = monotonic_ms() - options.idle_timeout_ms;
  while (!idle.empty()) {
    ConnectionPtr connection = std::move(idle.back());
    idle.pop_back();
    if (connection->idle_since < oldest) {  // all others have waited longer still
      idle.clear();
      break;
    }
    if (connection->still_good()) return connection;
  }
  return nullptr;
}

void Client::Impl::give_back(ConnectionPtr connection) {
  if (idle.size() >= options.idle_connections) return;
  connection->idle_since = monotonic_ms();
  idle.push_back(std::move(connection));
}

// ---- Requests

// With `more`, the body's first part stands behind the head: two buffers are one write.
Result<std::string> Client::Impl::request_head(const ClientRequest& request) const {
  if (!is_token(request.method) || request.target.empty() || request.target.find_first_of(" \t\r\n") != std::string::npos ||
      request.target.find('\0') != std::string::npos)
    return fail(Code::InvalidInput, "\"{} {}\" is no request", request.method, request.target);
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (!has_header(request.headers, "host")) head += "Host: " + endpoint.host_header() + "\r\n";
  for (const Header& h : request.headers) {
    if (!valid_header(h)) return fail(Code::InvalidInput, "invalid header \"{}\"", h.name);
    head += h.name + ": " + h.value + "\r\n";
  }
  if (!request.body.empty() || !request.more.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH")
    head += "Content-Length: " + std::to_string(request.body.size() + request.more.size()) + "\r\n";
  head += "\r\n";
  if (!request.more.empty()) head += request.body;
  return head;
}

task<Result<std::unique_ptr<ClientResponse>>> Client::Impl::send(ClientRequest request) {
  auto head = request_head(request);
  if (!head) co_return head.error();
  for (bool first = true;; first = false) {
    ConnectionPtr connection;
    if (first) connection = take_idle();
    const bool reused = connection != nullptr;
    if (!connection) {
      auto fresh = co_await connect();
      if (!fresh) co_return fresh.error();
      connection = std::move(*fresh);
    }
    connection->set_deadline(request.head_timeout_ms ? request.head_timeout_ms : options.read_timeout_ms);
    // A server may answer early and stop reading; its answer is worth more than our write error.
    auto written = co_await connection->write_all(*head, request.more.empty() ? std::string_view(request.body) : request.more);
    HeadScanner scanner;
    ResponseHead response;
    Framing framing;
    std::optional<Error> error;
    bool nothing_came = true;
    while (!error) {
      const auto state = scanner.scan(connection->buffer);
      if (state == HeadScanner::State::Done) {
        const Refusal refusal =
            parse_response_head(std::string_view(connection->buffer).substr(0, scanner.size()), request.method == "HEAD", response, framing);
        connection->buffer.erase(0, scanner.size());
        scanner.reset();
        if (refusal) error = fail(Code::Io, "{} sent an invalid answer: {}", endpoint.to_string(), refusal.why);
        else if (response.status >= 200) break;
        continue;  // 1xx: the real answer follows
      }
      if (state == HeadScanner::State::Bad || connection->buffer.size() > limits::kHeaderBytes) {
        error = fail(Code::Io, "{} sent an invalid answer", endpoint.to_string());
        break;
      }
      auto arrived = co_await connection->read_more();
      if (!arrived) error = arrived.error();
      else if (*arrived == 0) error = fail(Code::Io, "{} closed the connection without an answer", endpoint.to_string());
      else nothing_came = false;
    }
    if (error) {
      if (reused && nothing_came && !connection->timed_out) continue;
      co_return written || connection->timed_out ? *error : written.error();
    }
    if (!written) framing.keep_alive = false;
    auto out = std::make_unique<Response>(
        std::move(connection),
        [weak = weak_from_this()](ConnectionPtr c) {
          if (auto self = weak.lock()) self->give_back(std::move(c));
        },
        framing, request.read_timeout_ms ? request.read_timeout_ms : options.read_timeout_ms);
    out->status = response.status;
    out->headers = std::move(response.headers);
    co_return std::unique_ptr<ClientResponse>(std::move(out));
  }
}

Client::Client(asio::any_io_executor executor, Endpoint endpoint, ClientOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(endpoint), options)) {}
Client::~Client() = default;

task<Result<std::unique_ptr<ClientResponse>>> Client::send(ClientRequest request) {
  const auto impl = impl_;
  co_return co_await impl->send(std::move(request));
}
void Client::close_idle() { impl_->idle.clear(); }
const Endpoint& Client::endpoint() const { return impl_->endpoint; }

}  // namespace verge::http
