// What an HTTP message is to the rest of Verge: plain data, no parser or socket in sight.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verge::http {

template <class T>
using task = boost::asio::awaitable<T>;

struct Header {
  std::string name;
  std::string value;
  Header(std::string n, std::string v) : name(std::move(n)), value(std::move(v)) {}
};

// Order and repetitions are kept. Names compare without case. A type of its own for the constructors'
// sake: GCC 12 cannot compile an initializer_list inside a co_await expression ("array used as
// initializer"), and `co_await out.respond(200, {{"content-type", "text/plain"}}, text)` is how answers read.
class Headers : public std::vector<Header> {
 public:
  Headers() = default;
  Headers(Header a) { add(std::move(a)); }
  Headers(Header a, Header b) { add(std::move(a), std::move(b)); }
  Headers(Header a, Header b, Header c) { add(std::move(a), std::move(b), std::move(c)); }
  Headers(Header a, Header b, Header c, Header d) { add(std::move(a), std::move(b), std::move(c), std::move(d)); }
  Headers(Header a, Header b, Header c, Header d, Header e) { add(std::move(a), std::move(b), std::move(c), std::move(d), std::move(e)); }
  Headers(Header a, Header b, Header c, Header d, Header e, Header f) {
    add(std::move(a), std::move(b), std::move(c), std::move(d), std::move(e), std::move(f));
  }

 private:
  template <class... H>
  void add(H&&... headers) {
    reserve(sizeof...(headers));
    (push_back(std::move(headers)), ...);
  }
};

bool equal_names(std::string_view a, std::string_view b);
// First value of that name; empty where there is none.
std::string_view find_header(const Headers& headers, std::string_view name);
bool has_header(const Headers& headers, std::string_view name);
// The values of all headers of that name as one comma-separated list (RFC 9110, 5.3).
std::string header_list(const Headers& headers, std::string_view name);

// Percent-decoding. nullopt: a '%' without two hex digits, or a NUL byte.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
// Encodes all but unreserved characters and those in `keep`.
std::string percent_encode(std::string_view text, std::string_view keep = "");

struct RequestHead {
  std::string method;   // "GET"; case as sent
  std::string target;   // as sent, without scheme and host: "/ai/run/%40cf/x?version=3"
  std::string path;     // percent-decoded, up to '?': "/ai/run/@cf/x"; "*" for OPTIONS *
  std::string query;    // as sent, after '?'
  Headers headers;       // Host is the target's where that is a whole address (RFC 9112, 3.2.2)
  int minor_version = 1;
  std::string remote;     // "127.0.0.1:5000", "[::1]:5000", "unix"
  bool loopback = false;  // the peer is on this machine (127/8, ::1, unix socket)
  std::string local;      // the address it connected to: "127.0.0.1", "::1"; empty for a unix socket
  bool tls = false;
  std::string tls_peer;   // common name of the client's certificate, which the listener's authority has signed; empty = it showed none

  std::string_view header(std::string_view name) const { return find_header(headers, name); }
  // First value of a query parameter, decoded ('+' is a space); nullopt where absent.
  std::optional<std::string> query_param(std::string_view name) const;
};

struct Incoming : RequestHead {
  std::string body;
  // The body is longer than the route allows: it was not read (`body` is empty), and the connection
  // closes after the handler's answer, which should be a 413.
  bool body_too_large = false;
  size_t body_limit = 0;
  // Why there is no body although one came: its content coding is unknown (a 415, the connection closes then), or it
  // could not be undone (a 400). For the client; empty = nothing is wrong.
  std::string coding_error;
  bool coding_unknown = false;
};

}  // namespace verge::http
