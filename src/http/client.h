// An HTTP/1.1 client for one endpoint, with a pool of keep-alive connections. One io_context thread.
// Used towards workers and other nodes, by the command line towards a server.
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

class TlsClient;

// Where to connect: one of a unix socket, a host and port, or a function that yields connected sockets.
struct Endpoint {
  std::string unix_path;
  std::string host;
  uint16_t port = 0;
  std::function<Result<int>()> connect;  // a connected stream socket; the client owns it then
  std::shared_ptr<TlsClient> tls;        // for host and port
  std::string tls_name;                  // the certificate must be this name's; empty = host's

  std::string to_string() const;   // for messages
  std::string host_header() const;
};
// "http://host[:port]", "https://host[:port]", "host:port" or "unix:/path". A path after the port is an error.
Result<Endpoint> parse_endpoint(const std::string& url);

struct ClientOptions {
  int connect_timeout_ms = limits::kConnectTimeoutMs;
  int read_timeout_ms = 0;  // longest silence while an answer is awaited or read; 0 = no limit
  int idle_timeout_ms = limits::kIdleTimeoutMs / 2;  // less than the server's, so that reuse does not meet its close
  size_t idle_connections = 64;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  Headers headers;  // Host is the endpoint's unless it is here
  std::string body;
  std::string_view more;              // of the body, behind it: bytes that others hold as well
  std::shared_ptr<const void> owner;  // of `more`
  int head_timeout_ms = 0;  // longest silence before the answer's head; 0 = the client's read_timeout_ms
  int read_timeout_ms = 0;  // ... and after it

  ClientRequest() = default;
  ClientRequest(std::string m, std::string t, Headers h = {}, std::string b = {})
      : method(std::move(m)), target(std::move(t)), headers(std::move(h)), body(std::move(b)) {}
};

// An answer whose body is read piece by piece. Dropping it before its end closes the connection: that
// is how the server learns that nobody waits. A coroutine that is cancelled in here throws
// system_error(operation_aborted), and its connection closes.
class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  int status = 0;
  Headers headers;
  // The next bytes, as they arrive; empty = the end. The view holds until the next call. Io where the
  // connection broke before the end, Timeout after read_timeout_ms of silence.
  virtual task<Result<std::string_view>> read() = 0;
  // All that is left; TooLarge past max_bytes.
  virtual task<Result<std::string>> read_all(size_t max_bytes) = 0;
};

class Client {
 public:
  Client(boost::asio::any_io_executor executor, Endpoint endpoint, ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Returns once status and headers are there. Io: refused, reset, closed; Timeout. A kept connection
  // that proves closed before the first byte of an answer is replaced by a new one, once.
  task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request);

  void close_idle();
  const Endpoint& endpoint() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::http
