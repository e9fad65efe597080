// See connection.h for the design. Order of this file: life and time, reading, the handler, answers.
//
// GCC 12 miscompiles (ud2 at the first resume) a coroutine with co_await inside ?: or in the condition
// of an `if` that is itself the unbraced branch of another statement: such places have braces here.
#include "http/connection.h"

#include <boost/system/system_error.hpp>

#include <cstring>
#include <ctime>

#include "http/tls.h"
#include "support/clock.h"
#include "support/http_limits.h"
#include "support/log.h"
#include "support/release.h"
#include "support/spawn.h"

namespace verge::http {
namespace {

constexpr size_t kBufferBytes = 4096;            // an idle connection costs this and its coroutine
constexpr size_t kReadAheadBytes = 64 << 10;     // pipelined requests held while a handler runs
constexpr size_t kJoinBytes = 8 << 10;           // smaller bodies are copied behind their head
constexpr int kLingerMs = 2'000;                 // after an early answer: time for the client to read it

// "Date: …" line of this second (RFC 9110, 6.6.1).
std::string_view date_line() {
  thread_local std::time_t cached = 0;
  thread_local char line[48];
  thread_local size_t length = 0;
  const std::time_t now = std::time(nullptr);
  if (now != cached) {
    cached = now;
    std::tm utc;
    gmtime_r(&now, &utc);
    length = std::strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
  }
  return {line, length};
}

// Common name of the client's certificate; empty where it showed none that the listener's authority has signed.
std::string peer_name(SSL* tls) {
  std::string name;
  X509* certificate = SSL_get1_peer_certificate(tls);
  if (!certificate) return name;
  char text[256];
  if (SSL_get_verify_result(tls) == X509_V_OK && X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text) > 0) name = text;
  X509_free(certificate);
  return name;
}

bool framing_header(std::string_view name) {
  return equal_names(name, "content-length") || equal_names(name, "transfer-encoding") || equal_names(name, "connection") || equal_names(name, "keep-alive") ||
         equal_names(name, "date");
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 424: return "Failed Dependency";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

// ---- Life and time

Connection::Connection(std::shared_ptr<Shared> shared, Stream::Socket socket, Peer peer, TlsServer* tls)
    : shared_(std::move(shared)), stream_(std::move(socket)), peer_(std::move(peer)), arrival_(shared_->executor) {
  if (tls) {
    gone_ = !stream_.use_tls(tls->context(), true);
    tls_wanted_ = true;
    phase_ = Phase::Handshake;
  }
  shared_->connections.insert(this);
  if (!peer_.address.empty()) ++shared_->clients[peer_.address].connections;
  since_ = monotonic_ms();
}

Connection::~Connection() {
  release_body();
  if (const auto client = shared_->clients.find(peer_.address); client != shared_->clients.end()) {
    if (--client->second.connections == 0 && client->second.body_bytes == 0) shared_->clients.erase(client);
  }
  shared_->connections.erase(this);
  if (shared_->connections.empty() && shared_->emptied) shared_->emptied->notify();
}

void Connection::start() {
  spawn(shared_->executor, "a connection", cancel_.slot(), [self = shared_from_this()] { return self->serve(); },
        [self = shared_from_this()](std::exception_ptr) { self->stream_.close(); });
}

bool Shared::evict_idle() {
  Connection* victim = nullptr;
  size_t most = 0;
  for (Connection* one : connections) {
    if (!one->without_request()) continue;
    const auto client = clients.find(one->address());
    const size_t count = client == clients.end() ? 0 : client->second.connections;
    if (victim && (count < most || (count == most && one->since() >= victim->since()))) continue;
    victim = one;
    most = count;
  }
  if (victim) victim->cancel();
  return victim != nullptr;
}

void Connection::enter(Phase phase) {
  phase_ = phase;
  since_ = monotonic_ms();
}

void Connection::set_deadline(int ms) { deadline_ = ms ? monotonic_ms() + ms : 0; }

void Connection::sweep(int64_t now) {
  if (deadline_ == 0 || now < deadline_) return;
  deadline_ = 0;
  // A head that takes too long has earned a 408, but only if some of it came.
  if (phase_ == Phase::Head || phase_ == Phase::Body) refuse_at_once(408, "the request took too long");
  cancel();
}

// An answer of the server itself, as far as the socket takes it without waiting.
void Connection::refuse_at_once(int status, std::string_view why) {
  std::string out;
  close_after_ = true;
  started_ = false;
  std::string body = shared_->options.error_body ? shared_->options.error_body(status, why) : "";
  Headers headers;
  if (!body.empty()) headers.push_back({"Content-Type", "application/json"});
  if (status == 503) headers.push_back({"Retry-After", "1"});
  if (!begin_answer(status, headers, body.size(), out)) return;
  out += body;
  stream_.try_write(out, {});
}

void Connection::drain() {
  close_after_ = true;
  if (phase_ == Phase::Idle) cancel();
}

void Connection::cancel() {
  lose_client();
  arrival_.cancel();  // nobody else would, if the loop never runs again, and the waiting coroutine owns us
  stream_.close();
}

// There is nobody to answer any more: the handler, if one runs, is cancelled.
void Connection::lose_client() {
  if (gone_) return;
  gone_ = true;
  if (phase_ == Phase::Handler) cancel_.emit(asio::cancellation_type::terminal);
}

// ---- Reading

bool Connection::make_room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ < capacity_) return true;
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    return true;
  }
  const size_t limit = std::max(kReadAheadBytes, shared_->options.header_bytes);
  if (capacity_ >= limit) return false;
  const size_t grown = std::min(limit, std::max(kBufferBytes, capacity_ * 4));
  std::unique_ptr<char[]> larger(new char[grown]);
  if (end_) std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ = grown;
  return true;
}

void Connection::read_ahead() {
  if (reading_ahead_ || gone_ || !make_room()) return;
  reading_ahead_ = true;
  stream_.async_read_some(asio::buffer(buffer_.get() + end_, capacity_ - end_), [self = shared_from_this()](error_code ec, size_t n) {
    self->reading_ahead_ = false;
    self->end_ += n;
    if (ec) self->lose_client();
    else if (self->phase_ == Phase::Handler) self->read_ahead();
    self->arrival_.notify();
  });
}

task<bool> Connection::more() {
  if (gone_) co_return false;
  const size_t before = end_ - begin_;
  while (reading_ahead_ && end_ - begin_ == before) {
    co_await arrival_.wait();
  }
  if (gone_) co_return false;
  if (end_ - begin_ != before) co_return true;
  error_code ec;
  if (phase_ == Phase::Idle && begin_ == end_) {
    // Who waits for a request needs no memory for it yet.
    buffer_.reset();
    capacity_ = begin_ = end_ = 0;
    if (!stream_.tls() || SSL_pending(stream_.tls()) == 0) {
      co_await stream_.socket().async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, ec));
    }
  }
  if (ec) gone_ = true;
  if (gone_ || !make_room()) co_return false;
  end_ += co_await stream_.async_read_some(asio::buffer(buffer_.get() + end_, capacity_ - end_), asio::redirect_error(asio::use_awaitable, ec));
  if (ec) gone_ = true;
  co_return !ec;
}

// False: the connection ends here. A refusal is to be sent.
task<bool> Connection::read_head(Refusal& refusal) {
  HeadScanner scanner;
  enter(Phase::Idle);
  set_deadline(shared_->options.idle_timeout_ms);
  bool skipped_blank = false;
  while (true) {
    if (begin_ != end_ && phase_ == Phase::Idle) {
      enter(Phase::Head);
      set_deadline(shared_->options.header_timeout_ms);
    }
    // One empty line before a request is tolerated (RFC 9112, 2.2): some clients end bodies so.
    if (!skipped_blank && buffered().substr(0, 2) == "\r\n") {
      begin_ += 2;
      skipped_blank = true;
    }
    if (buffered() != "\r") {
      switch (scanner.scan(buffered())) {
        case HeadScanner::State::Bad: refusal = {400, "invalid line end"}; co_return true;
        case HeadScanner::State::Done: {
          if (scanner.size() > shared_->options.header_bytes) {
            refusal = {431, "the request's head is too large"};
            co_return true;
          }
          refusal = parse_request_head(buffered().substr(0, scanner.size()), request_, framing_);
          begin_ += scanner.size();
          co_return true;
        }
        case HeadScanner::State::More: break;
      }
    }
    if (end_ - begin_ > shared_->options.header_bytes) {
      refusal = {431, "the request's head is too large"};
      co_return true;
    }
    if (!co_await more()) co_return false;
  }
}

bool Connection::charge_body(size_t bytes) {
  if (bytes <= body_charged_) return true;
  const size_t added = bytes - body_charged_;
  for (const std::string* key : {&peer_.address, &credentials_}) {
    if (key->empty() || bytes <= limits::kBodyFreeBytes) continue;
    while (shared_->clients[*key].body_bytes + added > limits::kBodiesClientBytes)
      if (!make_room_for_body(*key)) return false;
  }
  while (shared_->bodies_bytes + added > limits::kBodiesBytes)
    if (!make_room_for_body("")) return false;
  shared_->bodies_bytes += added;
  for (const std::string* key : {&peer_.address, &credentials_})
    if (!key->empty()) shared_->clients[*key].body_bytes += added;
  body_charged_ = bytes;
  return true;
}

void Connection::release_body() {
  shared_->bodies_bytes -= body_charged_;
  for (const std::string* key : {&peer_.address, &credentials_}) {
    const auto client = shared_->clients.find(*key);
    if (client == shared_->clients.end()) continue;
    client->second.body_bytes -= body_charged_;
    if (client->second.body_bytes == 0 && client->second.connections == 0) shared_->clients.erase(client);
  }
  body_charged_ = 0;
}

bool Connection::make_room_for_body(const std::string& key) {
  Connection* stillest = nullptr;
  const int64_t since = monotonic_ms() - limits::kBodyStillMs;
  for (Connection* one : shared_->connections) {
    if (one == this || one->phase_ != Phase::Body || one->gone_ || one->body_charged_ == 0 || one->since_ > since) continue;
    if (!key.empty() && one->peer_.address != key && one->credentials_ != key) continue;
    if (!stillest || one->since_ < stillest->since_) stillest = one;
  }
  if (!stillest) return false;
  stillest->give_up_body();
  return true;
}

void Connection::give_up_body() {
  release_body();
  refuse_at_once(503, "the server has no room for bodies that stand still");
  cancel();
}

task<bool> Connection::read_body(Refusal& refusal) {
  request_.body.clear();
  request_.body_too_large = request_.coding_unknown = false;
  request_.coding_error.clear();
  codings_.clear();
  request_.body_limit = shared_->options.body_limit ? shared_->options.body_limit(request_) : limits::kTextBodyBytes;
  if (framing_.body == BodyKind::None) co_return true;
  enter(Phase::Body);
  set_deadline(shared_->options.body_timeout_ms);
  const std::string_view secret = request_.header("authorization");
  credentials_ = secret.empty() ? "" : "token " + std::to_string(std::hash<std::string_view>()(secret));
  if (framing_.body == BodyKind::Length && framing_.length > request_.body_limit) {
    request_.body_too_large = true;
    close_after_ = true;
    co_return true;
  }
  if (shared_->options.body_coding) {
    auto codings = parse_codings(shared_->options.body_coding(request_));
    if (codings) {
      codings_ = std::move(*codings);
    } else {
      request_.coding_unknown = true;
      request_.coding_error = std::move(codings.error().message);
      close_after_ = true;
      co_return true;
    }
  }
  if (framing_.expect_continue && begin_ == end_) {
    const bool sent = co_await send("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return false;
  }
  if (framing_.body == BodyKind::Length) co_return co_await read_length_body(refusal);
  co_return co_await read_chunked_body(refusal);
}

namespace {

constexpr Refusal kNoRoom = {503, "too many large requests at once"};

}  // namespace

// A body that goes on coming has time in proportion to what has come.
void Connection::body_arrived(size_t bytes) {
  since_ = monotonic_ms();
  deadline_ = body_began_ + shared_->options.body_timeout_ms + static_cast<int64_t>(bytes) * 1000 / limits::kBodyBytesPerSecond;
}

task<bool> Connection::read_length_body(Refusal& refusal) {
  const size_t length = framing_.length;
  std::string& body = request_.body;
  const size_t here = std::min(length, end_ - begin_);
  if (!charge_body(here)) {
    refusal = kNoRoom;
    co_return true;
  }
  body.assign(buffer_.get() + begin_, here);
  begin_ += here;
  size_t filled = here;
  body_began_ = monotonic_ms();
  if (filled < length && reading_ahead_) {
    // The read-ahead of the request before this one still runs: its bytes come first.
    if (!co_await more()) co_return false;
    const size_t take = std::min(length - filled, end_ - begin_);
    body.append(buffer_.get() + begin_, take);
    begin_ += take;
    filled += take;
  }
  while (filled < length) {
    // Straight into the body, whose memory doubles as bytes arrive: a body costs twice what has come of it at most.
    const size_t room = std::min(length, std::max(limits::kBodyFirstBytes, filled * 2));
    if (!charge_body(room)) {
      refusal = kNoRoom;
      co_return true;
    }
    body.resize(room);
    while (filled < room) {
      error_code ec;
      filled += co_await stream_.async_read_some(asio::buffer(body.data() + filled, room - filled), asio::redirect_error(asio::use_awaitable, ec));
      if (ec) {
        gone_ = true;
        co_return false;
      }
      body_arrived(filled);
    }
  }
  co_return true;
}

task<bool> Connection::read_chunked_body(Refusal& refusal) {
  ChunkDecoder decoder;
  body_began_ = monotonic_ms();
  while (true) {
    size_t used = 0;
    const auto state = decoder.feed(buffered(), request_.body_limit, request_.body, used);
    begin_ += used;
    switch (state) {
      case ChunkDecoder::State::Done: co_return true;
      case ChunkDecoder::State::Bad: refusal = {400, "invalid chunked body"}; co_return true;
      case ChunkDecoder::State::TooLarge:
        release(request_.body);
        request_.body_too_large = true;
        close_after_ = true;
        co_return true;
      case ChunkDecoder::State::More: break;
    }
    if (!charge_body(request_.body.capacity())) {
      refusal = kNoRoom;
      co_return true;
    }
    if (!co_await more()) co_return false;
    body_arrived(request_.body.size());
  }
}

// Undoes the body's content codings. Between two steps other connections get their turn.
task<bool> Connection::unpack_body(Refusal& refusal) {
  deadline_ = 0;
  BodyUnpacker unpacker(std::move(codings_), std::move(request_.body), request_.body_limit);
  release(request_.body);
  while (true) {
    const auto state = unpacker.step();
    if (state == BodyUnpacker::State::Done) break;
    if (state == BodyUnpacker::State::TooLarge) request_.body_too_large = true;
    if (state == BodyUnpacker::State::Damaged) request_.coding_error = unpacker.why();
    if (state != BodyUnpacker::State::More) co_return true;
    if (!charge_body(unpacker.held_bytes())) {
      refusal = kNoRoom;
      co_return true;
    }
    co_await asio::post(shared_->executor, asio::use_awaitable);
    if (gone_) co_return false;
  }
  request_.body = unpacker.take();
  co_return true;
}

// ---- The handler

task<void> Connection::serve() {
  co_await asio::this_coro::throw_if_cancelled(true);
  if (tls_wanted_) {
    set_deadline(shared_->options.header_timeout_ms);
    error_code ec;
    if (gone_) co_return;
    co_await stream_.async_handshake(asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return;
    request_.tls_peer = peer_name(stream_.tls());
  }
  request_.remote = peer_.name;
  request_.loopback = peer_.loopback;
  request_.local = peer_.local;
  request_.tls = tls_wanted_;
  while (!gone_) {
    started_ = finished_ = chunked_ = bodiless_ = false;
    Refusal refusal;
    if (!co_await read_head(refusal)) co_return;
    if (!refusal) {
      if (!co_await read_body(refusal)) co_return;
    }
    if (!refusal && !codings_.empty() && !request_.body.empty()) {
      if (!co_await unpack_body(refusal)) co_return;
    }
    if (refusal) {
      co_await refuse(refusal);
      co_return;
    }
    // A drain, or a lost connection, may have come between the last byte and here: nothing would cancel
    // a handler that began now.
    if (gone_) co_return;
    close_after_ |= !framing_.keep_alive || shared_->draining;
    const bool go_on = co_await run_handler();
    release_body();
    if (request_.body.capacity() > kBufferBytes) release(request_.body);
    if (!go_on) co_return;
    if (close_after_) {
      // A request that was read whole has no bytes on their way: nothing to wait for.
      if (request_.body_too_large || request_.coding_unknown || begin_ != end_) co_await linger();
      co_return;
    }
  }
}

task<bool> Connection::run_handler() {
  phase_ = Phase::Handler;
  deadline_ = 0;
  read_ahead();
  ++shared_->running;
  struct Running {
    size_t& count;
    ~Running() { --count; }
  } running{shared_->running};
  bool failed = false;
  try {
    co_await shared_->handler(request_, *this);
  } catch (const boost::system::system_error& e) {
    failed = true;
    if (!gone_ || e.code() != asio::error::operation_aborted)
      log::error("request failed", {{"method", request_.method}, {"path", request_.path}, {"error", e.what()}});
  } catch (const std::exception& e) {
    failed = true;
    log::error("request failed", {{"method", request_.method}, {"path", request_.path}, {"error", e.what()}});
  }
  if (gone_) co_return false;
  if (started_ && finished_) co_return true;
  // Half an answer can only be cut off: the client sees that the end is missing.
  if (started_) co_return false;
  if (!failed) log::error("no answer from the handler", {{"method", request_.method}, {"path", request_.path}});
  co_await refuse({500, "internal error"});
  co_return false;
}

// An answer of the server itself, after which the connection closes.
task<void> Connection::refuse(Refusal refusal) {
  close_after_ = true;
  std::string body = shared_->options.error_body ? shared_->options.error_body(refusal.status, refusal.why) : "";
  Headers headers;
  if (refusal.status == 503) headers.push_back({"Retry-After", "1"});
  if (!body.empty()) headers.push_back({"Content-Type", "application/json"});
  else headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  if (body.empty()) body = std::string(refusal.why) + "\n";
  phase_ = Phase::Handler;
  const bool sent = co_await respond(refusal.status, std::move(headers), std::move(body));
  if (sent) co_await linger();
}

// Closes in the order that lets the last answer arrive: our end, then read what the client still sends.
// Closing with unread bytes would make the kernel send a reset, which destroys the answer on its way.
task<void> Connection::linger() {
  phase_ = Phase::Linger;
  deadline_ = monotonic_ms() + kLingerMs;
  stream_.shutdown_send();
  bool more_came = true;
  while (more_came) {
    if (!reading_ahead_) end_ = 0;
    begin_ = end_;
    more_came = co_await more();
  }
}

// ---- Answers

// Writes the head of an answer to `out`. False: a header that no handler may send.
bool Connection::begin_answer(int status, const Headers& headers, std::optional<size_t> length, std::string& out) {
  for (const Header& h : headers)
    if (!valid_header(h)) return false;
  out.reserve(256);
  out = "HTTP/1.1 ";
  out += std::to_string(status);
  out += ' ';
  out += reason_phrase(status);
  out += "\r\n";
  out += date_line();
  for (const Header& h : headers) {
    if (framing_header(h.name)) {
      if (equal_names(h.name, "connection") && equal_names(h.value, "close")) close_after_ = true;
      continue;
    }
    out += h.name;
    out += ": ";
    out += h.value;
    out += "\r\n";
  }
  const bool no_content = status == 204 || status == 304 || status < 200;
  bodiless_ = no_content || request_.method == "HEAD";
  chunked_ = !length && request_.minor_version == 1 && !no_content;
  if (!length && request_.minor_version == 0) close_after_ = true;  // its end is the connection's
  if (length && !no_content) {
    out += "Content-Length: ";
    out += std::to_string(*length);
    out += "\r\n";
  } else if (chunked_) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (close_after_ || shared_->draining) {
    close_after_ = true;
    out += "Connection: close\r\n";
  } else if (request_.minor_version == 0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  started_ = true;
  return true;
}

task<bool> Connection::send(std::string_view a, std::string_view b) {
  if (gone_) co_return false;
  std::string both;
  stream_.join(a, b, both);
  const ssize_t taken = stream_.try_write(a, b);
  if (taken < 0) {
    lose_client();
    co_return false;
  }
  size_t written = static_cast<size_t>(taken);
  const size_t total = a.size() + b.size();
  if (written == total) co_return true;
  const int64_t deadline_before = deadline_;
  while (written < total) {
    const std::string_view rest = written < a.size() ? a.substr(written) : b.substr(written - a.size());
    set_deadline(shared_->options.write_timeout_ms);
    error_code ec;
    written += co_await stream_.async_write_some(asio::buffer(rest.data(), rest.size()), asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
      lose_client();
      co_return false;
    }
  }
  deadline_ = deadline_before;
  co_return !gone_;
}

// A piece of a stream. What the socket does not take goes out behind the caller's back: it waits for a second, and then
// knows that the client reads nothing.
task<bool> Connection::send_piece(std::string piece) {
  if (gone_) co_return false;
  if (!writing_.empty()) {
    queued_ += piece;
    if (queued_.size() > limits::kQueuedBytes) co_return co_await caught_up();
    co_return true;
  }
  const ssize_t taken = stream_.try_write(piece, {});
  if (taken < 0) {
    lose_client();
    co_return false;
  }
  if (static_cast<size_t>(taken) == piece.size()) co_return true;
  writing_ = std::move(piece);
  written_ = static_cast<size_t>(taken);
  set_deadline(shared_->options.write_timeout_ms);
  write_on();
  if (!patience_) patience_ = std::make_unique<asio::steady_timer>(shared_->executor);
  patience_->expires_after(std::chrono::milliseconds(limits::kStalledMs));
  error_code ec;
  co_await patience_->async_wait(asio::redirect_error(asio::use_awaitable, ec));
  stalled_ = !ec && !writing_.empty();
  co_return !gone_;
}

void Connection::write_on() {
  stream_.async_write_some(asio::buffer(writing_.data() + written_, writing_.size() - written_), [self = shared_from_this()](error_code ec, size_t n) {
    Connection& my = *self;
    my.written_ += n;
    if (n > 0) my.set_deadline(my.shared_->options.write_timeout_ms);
    if (!ec && my.written_ == my.writing_.size()) {
      my.writing_ = std::exchange(my.queued_, std::string());
      my.written_ = 0;
    }
    if (!ec && !my.writing_.empty()) return my.write_on();
    my.writing_.clear();
    my.queued_.clear();
    my.stalled_ = false;
    ++my.flushes_;
    my.deadline_ = 0;
    if (my.patience_) my.patience_->cancel();
    if (my.room_) my.room_->cancel();
    if (ec) my.lose_client();
  });
}

task<bool> Connection::caught_up() {
  if (!writing_.empty() && !room_) room_ = std::make_unique<asio::steady_timer>(shared_->executor, asio::steady_timer::time_point::max());
  const bool waits = !writing_.empty();
  const uint64_t before = flushes_;  // whoever writes again at once must not keep the others waiting
  while (waits && flushes_ == before && !gone_) {
    error_code ec;
    co_await room_->async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
  co_return !gone_;
}

task<bool> Connection::respond(int status, Headers headers, std::string body) {
  if (started_) co_return false;
  std::string out;
  if (!begin_answer(status, headers, body.size(), out)) {
    log::error("invalid header in an answer", {{"path", request_.path}});
    status = 500;
    body.clear();
    begin_answer(status, {}, 0, out);
  }
  finished_ = true;
  if (bodiless_) body.clear();
  if (body.size() <= kJoinBytes) {
    out += body;
    co_return co_await send(out);
  }
  co_return co_await send(out, body);
}

namespace {

// One chunk of a chunked body (RFC 9112, 7.1).
void append_chunk(std::string_view chunk, std::string& out) {
  char size[20];
  const int digits = std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
  out.reserve(out.size() + static_cast<size_t>(digits) + chunk.size() + 8);
  out.append(size, static_cast<size_t>(digits));
  out += chunk;
  out += "\r\n";
}

}  // namespace

task<bool> Connection::start(int status, Headers headers, std::string_view chunk) {
  if (started_) co_return false;
  std::string out;
  if (!begin_answer(status, headers, std::nullopt, out)) {
    log::error("invalid header in an answer", {{"path", request_.path}});
    begin_answer(500, {}, 0, out);
    finished_ = true;
    co_await send(out);
    co_return false;
  }
  if (!chunk.empty() && !bodiless_) {
    if (chunked_) append_chunk(chunk, out);
    else out += chunk;
  }
  co_return co_await send_piece(std::move(out));
}

task<bool> Connection::write(std::string_view chunk) {
  if (!started_ || finished_) co_return false;
  if (chunk.empty() || bodiless_) co_return !gone_;  // an empty chunk would be the end
  std::string piece;
  if (chunked_) append_chunk(chunk, piece);
  else piece = chunk;
  co_return co_await send_piece(std::move(piece));
}

task<bool> Connection::finish(std::string_view chunk) {
  if (!started_ || finished_) co_return false;
  finished_ = true;
  std::string piece;
  if (!bodiless_ && chunked_) {
    if (!chunk.empty()) append_chunk(chunk, piece);
    piece += "0\r\n\r\n";
  } else if (!bodiless_) {
    piece = chunk;
  }
  if (!piece.empty()) {
    const bool sent = co_await send_piece(std::move(piece));
    if (!sent) co_return false;
  }
  co_return co_await caught_up();
}

}  // namespace verge::http
