// An HTTP/1.1 server: TCP, unix sockets and inherited listening sockets, TLS, keep-alive, limits,
// back-pressure and notice of clients that leave. All of it runs on one io_context thread.
//
//   http::Server server(executor, [](http::Incoming& in, http::Responder& out) -> http::task<void> {
//     co_await out.respond(200, {{"content-type", "application/json"}}, "{}");
//   });
//   VERGE_TRY(server.listen_tcp("127.0.0.1", 0));
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "support/error.h"
#include "support/limits.h"

namespace verge::http {

class TlsServer;

// The answer to one request: respond() once, or start(), write()…, finish().
// Every call returns false where the client is gone. Content-Length, Transfer-Encoding, Date and
// Connection are the server's; all other headers are exactly the handler's, none is added. A header with CR, LF
// or NUL in it, or a name that is no token, makes the answer a 500.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual task<bool> respond(int status, Headers headers, std::string body) = 0;
  // Sends status and headers at once, with the body's first chunk if there is one; others follow.
  virtual task<bool> start(int status, Headers headers, std::string_view chunk = {}) = 0;
  // Waits until the socket takes the bytes: a slow reader holds up its own stream only.
  virtual task<bool> write(std::string_view chunk) = 0;
  virtual task<bool> finish(std::string_view chunk = {}) = 0;  // with a last chunk if there is one
  virtual bool started() const = 0;  // the status line is on its way
  // The client has taken nothing for a second: what was written waits for it. Who makes more of the stream should give
  // up what that costs until caught_up() returns; false = the client is gone.
  virtual bool stalled() const { return false; }
  virtual task<bool> caught_up() { co_return true; }
};

// Runs in the connection's coroutine. When the client leaves, or a drain runs out of time, it is
// cancelled (terminal) at its next or current co_await, which then throws
// system_error(operation_aborted): let it pass. Any other exception: 500, logged, connection closed.
// A return without an answer: 500.
using Handler = std::function<task<void>(Incoming&, Responder&)>;

struct ServerOptions {
  // Most bytes of body for a request, asked once its head is read and before its body is.
  std::function<size_t(const RequestHead&)> body_limit;
  // The Content-Encoding to undo before the handler gets the body; absent or empty = it gets what came.
  std::function<std::string(const RequestHead&)> body_coding;
  // Body (JSON) of answers that the server gives by itself: 400, 408, 431, 500, 501, 503, 505.
  std::function<std::string(int status, std::string_view message)> error_body;
  std::shared_ptr<TlsServer> tls;  // for TCP listeners
  size_t header_bytes = limits::kHeaderBytes;
  size_t connections = limits::kConnections;
  int header_timeout_ms = limits::kHeaderTimeoutMs;
  int body_timeout_ms = limits::kBodyTimeoutMs;
  int idle_timeout_ms = limits::kIdleTimeoutMs;
  int write_timeout_ms = limits::kWriteTimeoutMs;
};

class Server {
 public:
  Server(boost::asio::any_io_executor executor, Handler handler, ServerOptions options = {});
  ~Server();  // closes everything at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Any number of listeners. Port 0 takes a free one, see port(). Host: an address or "localhost".
  Result<void> listen_tcp(const std::string& host, uint16_t port);
  Result<void> listen_unix(const std::string& path);  // replaces a stale socket file; mode 0600
  Result<void> adopt(int listening_fd);               // takes ownership

  // Connections from now on get this one; those that are open keep theirs.
  void use_tls(std::shared_ptr<TlsServer> tls);

  uint16_t port() const;        // of the first TCP listener
  size_t connections() const;   // open now
  size_t running() const;       // handlers that run now

  void stop_accepting();
  // From now on each answer says `Connection: close` and is its connection's last; new ones are taken still.
  void close_after_answers();
  // Stops accepting, closes idle connections, lets handlers end (answers say `Connection: close`), and cancels
  // those that still run after limit_ms. Always ends.
  task<void> drain(int limit_ms);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::http
