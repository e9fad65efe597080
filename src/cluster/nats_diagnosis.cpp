#include "cluster/nats_diagnosis.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>

#include "support/finally.h"

namespace verge::cluster {
namespace {

constexpr int kWaitMs = 1'500;
constexpr size_t kInfoBytes = 32 << 10;

struct Server {
  std::string host, port;
};

Server parse(std::string url) {
  if (const size_t scheme = url.find("://"); scheme != std::string::npos) url = url.substr(scheme + 3);
  const size_t colon = url.rfind(':');
  if (colon == std::string::npos || url.ends_with("]")) return {url, "4222"};
  Server out{url.substr(0, colon), url.substr(colon + 1)};
  if (out.host.starts_with("[") && out.host.ends_with("]")) out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

bool ready(int fd, short events) {
  pollfd one{fd, events, 0};
  return ::poll(&one, 1, kWaitMs) == 1;
}

// A connected socket, or why there is none.
int connect_to(const Server& server, std::string& why) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &list); error != 0) {
    why = fmt::format("the name {} cannot be resolved ({}): look at --cluster and at DNS", server.host, gai_strerror(error));
    return -1;
  }
  const Finally free{[&] { ::freeaddrinfo(list); }};
  int error = ETIMEDOUT;
  for (const addrinfo* one = list; one; one = one->ai_next) {
    const int fd = ::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) continue;
    if (::connect(fd, one->ai_addr, one->ai_addrlen) == 0) return fd;
    error = errno;
    if (error == EINPROGRESS) {
      error = ETIMEDOUT;
      socklen_t length = sizeof error;
      if (ready(fd, POLLOUT)) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error == 0) return fd;
    }
    ::close(fd);
  }
  if (error == ECONNREFUSED) why = fmt::format("nobody listens on {}:{}: is nats-server started there, and on that port?", server.host, server.port);
  else if (error == ETIMEDOUT) why = fmt::format("{}:{} does not answer: a firewall, or a machine that is off?", server.host, server.port);
  else why = fmt::format("{}:{}: {}", server.host, server.port, std::strerror(error));
  return -1;
}

// The line that a NATS server begins with; else why it is none.
bool read_info(int fd, const Server& server, std::string& info, std::string& why) {
  char bytes[4096];
  while (info.find('\n') == std::string::npos && info.size() < kInfoBytes) {
    const ssize_t count = ready(fd, POLLIN) ? ::recv(fd, bytes, sizeof bytes, 0) : -1;
    if (count <= 0) break;
    info.append(bytes, static_cast<size_t>(count));
    if (!info.starts_with(std::string_view("INFO ").substr(0, info.size()))) break;
  }
  if (info.starts_with("INFO ")) return true;
  std::string said = info.substr(0, 40);
  std::ranges::replace_if(said, [](char c) { return c < ' ' || c > '~'; }, '.');
  why = fmt::format("what listens on {}:{} is no NATS server ({}): another program has that port, or --cluster names the wrong one", server.host, server.port,
                    said.empty() ? "it says nothing" : "it says '" + said + "'");
  return false;
}

std::string tls_error() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return text ? text : "the connection was closed";
}

bool retry(SSL* ssl, int result, int fd) {
  const int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ) return ready(fd, POLLIN);
  if (error == SSL_ERROR_WANT_WRITE) return ready(fd, POLLOUT);
  return false;
}

std::string try_tls(int fd, const Server& server, const NatsOptions& options, const char* server_name) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr);
  SSL_CTX_use_certificate_chain_file(context.get(), options.certificate_file.c_str());
  SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd);
  SSL_set1_host(ssl.get(), server_name);
  ERR_clear_error();
  int result = SSL_connect(ssl.get());
  while (result != 1 && retry(ssl.get(), result, fd)) result = SSL_connect(ssl.get());
  const long verified = SSL_get_verify_result(ssl.get());
  if (verified == X509_V_ERR_CERT_HAS_EXPIRED)
    return fmt::format("the certificate of the NATS server at {} has expired: `verge cluster renew FOLDER --nats`, copy server.crt and server.key there, reload it", server.host);
  if (verified == X509_V_ERR_CERT_NOT_YET_VALID)
    return fmt::format("the certificate of the NATS server at {} is not valid yet by this machine's clock: set the clocks of both (NTP)", server.host);
  if (verified == X509_V_ERR_HOSTNAME_MISMATCH)
    return fmt::format("the certificate of the server at {} is not one for {}: NATS must have the server.crt that `verge cluster init` made", server.host, server_name);
  if (verified != X509_V_OK)
    return fmt::format("the certificate of the NATS server at {} is of another authority ({}): its server.crt and this machine's ca.crt are of two clusters", server.host,
                       X509_verify_cert_error_string(verified));
  // With TLS 1.3 the server's opinion of this side's certificate comes after the handshake. One that takes it says nothing.
  if (result == 1) {
    char byte = 0;
    result = SSL_read(ssl.get(), &byte, 1);
    while (result <= 0 && SSL_get_error(ssl.get(), result) == SSL_ERROR_WANT_READ) {
      if (!ready(fd, POLLIN)) return {};
      result = SSL_read(ssl.get(), &byte, 1);
    }
    if (result > 0) return {};
  }
  return fmt::format("the NATS server at {} does not take this machine's certificate ({}): its ca.crt must be this cluster's, and the clocks of both right", server.host, tls_error());
}

std::string diagnose(const std::string& url, const NatsOptions& options, const char* server_name) {
  const Server server = parse(url);
  std::string why, info;
  const int fd = connect_to(server, why);
  if (fd < 0) return why;
  const Finally close{[&] { ::close(fd); }};
  if (!read_info(fd, server, info, why)) return why;
  const bool wants_tls = info.find("\"tls_required\":true") != std::string::npos;
  if (options.ca_file.empty())
    return wants_tls ? fmt::format("the NATS server at {} wants TLS: start with --cluster-keys instead of --insecure-cluster", server.host) : std::string();
  if (!wants_tls) return fmt::format("the NATS server at {} does without TLS: start it with the configuration of `verge cluster init` or of deploy/nats", server.host);
  return try_tls(fd, server, options, server_name);
}

}  // namespace

std::string diagnose_nats(const NatsOptions& options, const std::string& refused) {
  std::istringstream list(options.servers);
  std::string out;
  bool well = false;
  for (std::string url; std::getline(list, url, ',');) {
    const std::string why = diagnose(url, options, kNatsServerName);
    if (why.empty()) well = true;
    else out += (out.empty() ? "" : "; ") + why;
  }
  // A server that is well up to here and refuses all the same does not know the key. libnats says of it that there is no server, where it
  // tried more than once.
  std::string lower = refused;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (well && (lower.find("authoriz") != std::string::npos || lower.find("no server available") != std::string::npos)) {
    const std::string key = options.nkey_seed_file.empty()
                                ? "the NATS server wants a key: start with --cluster-keys instead of --insecure-cluster"
                                : fmt::format("the NATS server does not know the key of {}: copy nats/users.conf of the cluster's folder to every server, then "
                                              "`nats-server --signal reload` (or the member was removed)",
                                              options.name);
    return key + (out.empty() ? "" : "; " + out);
  }
  return well ? std::string() : out;
}

}  // namespace verge::cluster
