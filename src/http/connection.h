// One client's connection: reads requests, runs the handler, writes answers. For server.cpp only.
//
// A connection is one coroutine, serve(), that owns it (shared_ptr) until it ends. Beside it at most one
// read is under way that belongs to no coroutine, the read-ahead: it starts before the handler and is
// how a client that leaves is noticed while the handler waits for something else. What it reads is the
// beginning of the next request. So a request costs no system call beyond wait, read and write.
//
// Time-outs are one deadline a connection, looked at by the server's sweep: a timer a request would
// cost a system call.
#pragma once

#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <string>
#include <unordered_set>

#include "http/parse.h"
#include "http/server.h"
#include "http/stream.h"

namespace verge::http {

class Connection;

// What the connections of one server share.
struct Shared {
  asio::any_io_executor executor;
  Handler handler;
  ServerOptions options;
  std::unordered_set<Connection*> connections;
  size_t running = 0;       // handlers
  size_t bodies_bytes = 0;  // request bodies in memory
  bool draining = false;
  std::unique_ptr<Waiter> emptied;  // notified when a draining server's last connection ends
};

struct Peer {
  std::string name;
  bool loopback = false;
};

class Connection : public Responder, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Shared> shared, Stream::Socket socket, Peer peer, TlsServer* tls);
  ~Connection() override;

  void start();               // spawns serve()
  void sweep(int64_t now);    // closes it if its deadline is past
  void drain();               // closes it if idle; else its answer is the last
  void cancel();              // cancels the handler and closes
  bool idle() const { return phase_ == Phase::Idle; }

  task<bool> respond(int status, Headers headers, std::string body) override;
  task<bool> start(int status, Headers headers, std::string_view chunk) override;
  task<bool> write(std::string_view chunk) override;
  task<bool> finish(std::string_view chunk) override;
  bool started() const override { return started_; }

 private:
  enum class Phase { Handshake, Idle, Head, Body, Handler, Linger };

  task<void> serve();
  task<bool> read_head(Refusal& refusal);
  task<bool> read_body(Refusal& refusal);
  task<bool> read_length_body(Refusal& refusal);
  task<bool> read_chunked_body(Refusal& refusal);
  task<bool> run_handler();  // false: the connection cannot go on
  task<void> refuse(Refusal refusal);
  task<void> linger();

  task<bool> more();  // at least one more byte into the buffer; false = end of stream
  void read_ahead();
  bool make_room();
  bool charge_body(size_t bytes);  // books memory for the body; false: the server holds too much already
  task<bool> send(std::string_view a, std::string_view b = {});
  bool begin_answer(int status, const Headers& headers, std::optional<size_t> length, std::string& out);
  void lose_client();

  std::string_view buffered() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void set_deadline(int ms);

  std::shared_ptr<Shared> shared_;
  Stream stream_;
  Peer peer_;
  bool tls_wanted_ = false;
  asio::cancellation_signal cancel_;
  Waiter arrival_;  // the read-ahead has ended
  Phase phase_ = Phase::Idle;
  int64_t deadline_ = 0;  // monotonic ms; 0 = none

  // Bytes read and not used yet: buffer_[begin_, end_). Only a read in flight pins the memory.
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
  bool reading_ahead_ = false;
  bool gone_ = false;  // end of stream, error or cancelled: nobody to answer

  // The current request and its answer.
  Incoming request_;
  Framing framing_;
  size_t body_charged_ = 0;
  bool started_ = false, finished_ = false, chunked_ = false, bodiless_ = false, close_after_ = false;
};

std::string_view reason_phrase(int status);

}  // namespace verge::http
