#include "hosting/worker_request.h"

#include <algorithm>
#include <charconv>

#include "http/own_host.h"
#include "support/json.h"

namespace verge::hosting {
namespace {

bool is_hop_header(std::string_view name) {
  for (const char* hop : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te",
                          "trailer", "upgrade", "content-length"}) {
    if (http::equal_names(name, hop)) return true;
  }
  return false;
}

// What only the gateway says to a Worker: a client's own word on it is dropped.
// "mf-…" are the runtime's own headers.
bool is_gateway_header(std::string_view name) {
  if (name.size() > 3 && http::equal_names(name.substr(0, 3), "mf-")) return true;
  return http::equal_names(name, "cf-connecting-ip") ||
         http::equal_names(name, "x-forwarded-proto");
}

// A host and port that a URL can have: the Worker's socket reads one.
bool is_plain_host(std::string_view host) {
  if (http::host_of(host).empty()) return false;
  const std::string_view port = host.substr(std::min(host.size(), host.find_last_of(":]") + 1));
  int number = 0;
  if (host.ends_with(']') || port.size() == host.size() || port.empty()) return true;
  return std::from_chars(port.data(), port.data() + port.size(), number).ec == std::errc() && number <= 65535;
}

// "127.0.0.1:5000", "[::1]:5000" -> the address.
std::string address_of(const std::string& remote) {
  const std::string host = remote.substr(0, remote.rfind(':'));
  return host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
}

// request.cf: what is known of a request here, no place or network made up.
std::string cf_of(const http::Incoming& in) {
  json::object cf{{"httpProtocol", in.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1"}};
  const std::string_view encodings = in.header("accept-encoding");
  if (!encodings.empty()) cf["clientAcceptEncoding"] = encodings;
  return json::serialize(cf);
}

}  // namespace

bool names_plain_host(const http::RequestHead& head) {
  return is_plain_host(head.header("host")) && head.target.starts_with('/');
}

http::Headers end_to_end(const http::Headers& headers) {
  http::Headers kept;
  for (const http::Header& header : headers) {
    if (!is_hop_header(header.name)) kept.push_back(header);
  }
  return kept;
}

http::ClientRequest request_for_worker(http::Incoming& in) {
  http::ClientRequest request;
  request.method = in.method;
  // The Worker's socket takes requests as a proxy does, with the whole URL.
  request.target = (in.tls ? "https://" : "http://") + std::string(in.header("host")) + in.target;
  request.headers = end_to_end(in.headers);
  std::erase_if(request.headers,
                [](const http::Header& one) { return is_gateway_header(one.name); });
  request.headers.push_back({"x-forwarded-proto", in.tls ? "https" : "http"});
  request.headers.push_back({"cf-connecting-ip", address_of(in.remote)});
  request.headers.push_back({"mf-cf-blob", cf_of(in)});
  request.body = std::move(in.body);
  return request;
}

}  // namespace verge::hosting
