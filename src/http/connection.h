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
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "http/content_coding.h"
#include "http/parse.h"
#include "http/server.h"
#include "http/stream.h"

namespace verge::http {

class Connection;

// What the connections of one client take.
struct Usage {
  size_t connections = 0, body_bytes = 0;
};

// What the connections of one server share.
struct Shared {
  asio::any_io_executor executor;
  Handler handler;
  ServerOptions options;
  std::unordered_set<Connection*> connections;
  size_t running = 0;       // handlers
  size_t bodies_bytes = 0;  // request bodies in memory
  std::unordered_map<std::string, Usage> clients;  // by address, and by a hash of the credentials that were sent

  // Closes the connection without a request that has waited longest, one of the client that has most. False: there is none.
  bool evict_idle();
  bool draining = false;         // answers are their connections' last
  std::unique_ptr<Waiter> emptied;  // notified when a draining server's last connection ends
};

struct Peer {
  std::string name;
  bool loopback = false;
  std::string local{};    // address of our end, without the port
  std::string address{};  // the client's, without the port; of IPv6 the 64 bits of its network; empty for a unix socket
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
  bool without_request() const { return !gone_ && (phase_ == Phase::Idle || phase_ == Phase::Head || phase_ == Phase::Handshake); }
  int64_t since() const { return since_; }
  const std::string& address() const { return peer_.address; }

  task<bool> respond(int status, Headers headers, std::string body) override;
  task<bool> start(int status, Headers headers, std::string_view chunk) override;
  task<bool> write(std::string_view chunk) override;
  task<bool> finish(std::string_view chunk) override;
  bool started() const override { return started_; }
  bool stalled() const override { return stalled_; }
  task<bool> caught_up() override;

 private:
  enum class Phase { Handshake, Idle, Head, Body, Handler, Linger };

  task<void> serve();
  task<bool> read_head(Refusal& refusal);
  task<bool> read_body(Refusal& refusal);
  task<bool> read_length_body(Refusal& refusal);
  task<bool> read_chunked_body(Refusal& refusal);
  task<bool> unpack_body(Refusal& refusal);
  task<bool> run_handler();  // false: the connection cannot go on
  task<void> refuse(Refusal refusal);
  task<void> linger();

  task<bool> more();  // at least one more byte into the buffer; false = end of stream
  void read_ahead();
  bool make_room();
  bool charge_body(size_t bytes);  // books memory for the body; false: the server or the client holds too much already
  void release_body();
  bool make_room_for_body(const std::string& key);  // at the cost of a body that stands still; of one client, or "" = of any
  void give_up_body();
  void body_arrived(size_t bytes);
  void refuse_at_once(int status, std::string_view why);
  task<bool> send(std::string_view a, std::string_view b = {});
  task<bool> send_piece(std::string piece);
  void write_on();
  void enter(Phase phase);
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
  int64_t since_ = 0;     // beginning of the phase; of a body, its latest bytes

  // Bytes read and not used yet: buffer_[begin_, end_). Only a read in flight pins the memory.
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
  bool reading_ahead_ = false;
  bool gone_ = false;  // end of stream, error or cancelled: nobody to answer

  // The current request and its answer.
  Incoming request_;
  Framing framing_;
  std::vector<Coding> codings_;  // of the body, to be undone
  size_t body_charged_ = 0;
  int64_t body_began_ = 0;
  std::string credentials_;  // key of the client in Shared, where it showed some

  // Of a stream: what the socket has not taken yet. A write of writing_ is under way as long as it is not empty.
  std::string writing_, queued_;
  size_t written_ = 0;
  uint64_t flushes_ = 0;  // times that all of it was taken
  bool stalled_ = false;
  std::unique_ptr<asio::steady_timer> patience_, room_;  // both are cancelled when writing_ is through
  bool started_ = false, finished_ = false, chunked_ = false, bodiless_ = false, close_after_ = false;
};

std::string_view reason_phrase(int status);

}  // namespace verge::http
