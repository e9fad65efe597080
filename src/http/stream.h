// A connected stream socket, plain (TCP or unix) or under TLS, and a place to wait. For the .cpp files
// of http/ only: this header brings Asio's sockets and OpenSSL along.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace verge::http {

namespace asio = boost::asio;
using boost::system::error_code;

using Socket = asio::generic::stream_protocol::socket;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// One call of OpenSSL on a socket that does not block, repeated until it is through. `call` gives what SSL_read() and
// the like give: > 0 is a success. Asio's own ssl::stream holds 70 KB of buffers for each connection, idle ones too.
template <class Call>
struct TlsOperation {
  Socket& socket;
  SSL* ssl;
  Call call;
  bool waited = false;  // an operation must not complete inside the call that starts it
  bool through = false;
  error_code outcome{};
  size_t bytes = 0;

  template <class Self>
  void operator()(Self& self, error_code ec = {}) {
    if (through) return self.complete(outcome, bytes);
    if (ec) return self.complete(ec, 0);
    ERR_clear_error();
    errno = 0;
    const int n = call(ssl);
    if (n <= 0) {
      const int why = SSL_get_error(ssl, n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        waited = true;
        return socket.async_wait(why == SSL_ERROR_WANT_READ ? Socket::wait_read : Socket::wait_write, std::move(self));
      }
      outcome = error_of(why);
    }
    bytes = n > 0 ? static_cast<size_t>(n) : 0;
    through = true;
    if (waited) return self.complete(outcome, bytes);
    asio::post(socket.get_executor(), std::move(self));
  }

  static error_code error_of(int why) {
    if (why == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
    const unsigned long queued = ERR_get_error();
    if (ERR_GET_REASON(queued) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return asio::ssl::error::stream_truncated;
    if (queued) return {static_cast<int>(queued), asio::error::get_ssl_category()};
    return errno ? error_code(errno, boost::system::system_category()) : error_code(asio::ssl::error::stream_truncated);
  }
};

class Stream {
 public:
  using Socket = http::Socket;
  explicit Stream(Socket socket) : socket_(std::move(socket)) {}

  // The socket is connected. False: out of memory.
  bool use_tls(asio::ssl::context& context, bool server) {
    tls_.reset(SSL_new(context.native_handle()));
    if (!tls_ || SSL_set_fd(tls_.get(), socket_.native_handle()) != 1) return false;
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    if (server) SSL_set_accept_state(tls_.get());
    else SSL_set_connect_state(tls_.get());
    return true;
  }
  SSL* tls() { return tls_.get(); }
  Socket& socket() { return socket_; }

  template <class Token>
  auto async_handshake(Token&& token) {
    return async_tls([](SSL* ssl) { return SSL_do_handshake(ssl); }, std::forward<Token>(token));
  }
  template <class Token>
  auto async_read_some(asio::mutable_buffer buffer, Token&& token) {
    const auto read = [buffer](SSL* ssl) { return SSL_read(ssl, buffer.data(), static_cast<int>(std::min<size_t>(buffer.size(), INT_MAX))); };
    return tls_ ? async_tls(read, std::forward<Token>(token)) : socket_.async_read_some(buffer, std::forward<Token>(token));
  }
  template <class Token>
  auto async_write_some(asio::const_buffer buffer, Token&& token) {
    const auto write = [buffer](SSL* ssl) { return SSL_write(ssl, buffer.data(), static_cast<int>(std::min<size_t>(buffer.size(), INT_MAX))); };
    return tls_ ? async_tls(write, std::forward<Token>(token)) : socket_.async_write_some(buffer, std::forward<Token>(token));
  }
  // Says goodbye to the other end, as far as that goes without waiting.
  void shutdown_send() {
    ERR_clear_error();
    if (tls_ && SSL_is_init_finished(tls_.get())) SSL_shutdown(tls_.get());
    ERR_clear_error();
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  // Under TLS each write is a record and a packet of its own: small parts become one, in `both`, which has to outlive the write.
  void join(std::string_view& a, std::string_view& b, std::string& both) const {
    if (!tls_ || a.empty() || b.empty() || a.size() + b.size() > kTlsRecordBytes) return;
    both.reserve(a.size() + b.size());
    both.append(a).append(b);
    a = both;
    b = {};
  }

  // Writes what the socket takes at once, without a visit to the event loop. -1: broken.
  ssize_t try_write(std::string_view a, std::string_view b) {
    if (tls_) return try_write_tls(a);
    iovec parts[2] = {{const_cast<char*>(a.data()), a.size()}, {const_cast<char*>(b.data()), b.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = b.empty() ? 1 : 2;
    while (true) {
      const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n >= 0) return n;
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
  }

  bool is_open() const { return socket_.is_open(); }
  // Pending operations end with operation_aborted.
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  static constexpr size_t kTlsRecordBytes = 16 << 10;

  template <class Call, class Token>
  auto async_tls(Call call, Token&& token) {
    return asio::async_compose<Token, void(error_code, size_t)>(TlsOperation<Call>{socket_, tls_.get(), std::move(call)}, token, socket_);
  }

  ssize_t try_write_tls(std::string_view bytes) {
    size_t written = 0;
    while (written < bytes.size()) {
      ERR_clear_error();
      const int n = SSL_write(tls_.get(), bytes.data() + written, static_cast<int>(std::min(bytes.size() - written, kTlsRecordBytes)));
      if (n > 0) {
        written += static_cast<size_t>(n);
        continue;
      }
      const int why = SSL_get_error(tls_.get(), n);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) break;
      return -1;
    }
    return static_cast<ssize_t>(written);
  }

  Socket socket_;
  std::unique_ptr<SSL, FreeSsl> tls_;
};

// Where one coroutine waits until other code of the same thread calls notify(), which may run it there
// and then: call it last. A notify() with nobody there is kept for the next wait(). A cancelled wait()
// ends by a post, never inside the emit().
class Waiter {
 public:
  explicit Waiter(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  asio::awaitable<void> wait() {
    if (notified_) {
      notified_ = false;
      co_return;
    }
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(error_code)>(
        [this](auto handler) {
          auto slot = asio::get_associated_cancellation_slot(handler);
          operation_ = std::make_unique<Held<decltype(handler)>>(std::move(handler));
          if (slot.is_connected())
            slot.assign([this](asio::cancellation_type) { cancel(); });
        },
        asio::use_awaitable);
  }
  void notify() {
    if (auto operation = std::move(operation_)) operation->run();
    else notified_ = true;
  }
  // Ends a wait() as a cancellation does, also where the loop does not run any more: Asio passes a
  // cancellation on through the loop.
  void cancel() {
    if (auto operation = std::move(operation_)) operation->post(executor_, asio::error::operation_aborted);
  }

 private:
  struct Operation {
    virtual ~Operation() = default;
    virtual void run() = 0;
    virtual void post(const asio::any_io_executor& executor, error_code ec) = 0;
  };
  template <class Handler>
  struct Held : Operation {
    explicit Held(Handler h) : handler(std::move(h)) {}
    void run() override { std::move(handler)(error_code()); }
    void post(const asio::any_io_executor& executor, error_code ec) override {
      asio::post(executor, [h = std::move(handler), ec]() mutable { std::move(h)(ec); });
    }
    Handler handler;
  };
  asio::any_io_executor executor_;
  std::unique_ptr<Operation> operation_;
  bool notified_ = false;
};

}  // namespace verge::http
