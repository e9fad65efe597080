// A connected stream socket, plain (TCP or unix) or under TLS, and a place to wait. For the .cpp files
// of http/ only: this header brings Asio's sockets and OpenSSL along.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace verge::http {

namespace asio = boost::asio;
using boost::system::error_code;

class Stream {
 public:
  using Socket = asio::generic::stream_protocol::socket;
  explicit Stream(Socket socket) : socket_(std::move(socket)) {}

  void use_tls(asio::ssl::context& context) { tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context); }
  asio::ssl::stream<Socket&>* tls() { return tls_.get(); }
  Socket& socket() { return socket_; }

  template <class Token>
  auto async_read_some(asio::mutable_buffer buffer, Token&& token) {
    return tls_ ? tls_->async_read_some(buffer, std::forward<Token>(token)) : socket_.async_read_some(buffer, std::forward<Token>(token));
  }
  template <class Token>
  auto async_write_some(asio::const_buffer buffer, Token&& token) {
    return tls_ ? tls_->async_write_some(buffer, std::forward<Token>(token)) : socket_.async_write_some(buffer, std::forward<Token>(token));
  }

  // Under TLS each write is a record and a packet of its own: small parts become one, in `both`, which has to outlive the write.
  void join(std::string_view& a, std::string_view& b, std::string& both) const {
    if (!tls_ || a.empty() || b.empty() || a.size() + b.size() > kTlsRecordBytes) return;
    both.reserve(a.size() + b.size());
    both.append(a).append(b);
    a = both;
    b = {};
  }

  // Writes what the socket takes at once, without a visit to the event loop. -1: broken. TLS takes nothing here.
  ssize_t try_write(std::string_view a, std::string_view b) {
    if (tls_) return 0;
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

  Socket socket_;
  std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
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
