#include "http/tls.h"

#include <boost/asio/ssl/context.hpp>

#include <csignal>

namespace verge::http {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

void harden(ssl::context& context) {
  error_code ec;
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                          ssl::context::no_tlsv1_1 | ssl::context::single_dh_use,
                      ec);
  SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // An idle connection keeps no buffers of records (17 KB each way). A write that could not go on is repeated from
  // other memory.
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
}

Result<void> use_identity(ssl::context& context, const std::string& certificate_file, const std::string& key_file) {
  error_code ec;
  context.use_certificate_chain_file(certificate_file, ec);
  if (ec) return fail(Code::Io, "TLS certificate {}: {}", certificate_file, ec.message());
  context.use_private_key_file(key_file, ssl::context::pem, ec);
  if (ec) return fail(Code::Io, "TLS key {}: {}", key_file, ec.message());
  return {};
}

Result<void> trust(ssl::context& context, const std::string& ca_file) {
  error_code ec;
  if (ca_file.empty()) context.set_default_verify_paths(ec);
  else context.load_verify_file(ca_file, ec);
  if (ec) return fail(Code::Io, "TLS authority {}: {}", ca_file, ec.message());
  return {};
}

}  // namespace

TlsServer::TlsServer() : context_(std::make_unique<ssl::context>(ssl::context::tls_server)) {}
TlsServer::~TlsServer() = default;
TlsClient::TlsClient() : context_(std::make_unique<ssl::context>(ssl::context::tls_client)) {}
TlsClient::~TlsClient() = default;

Result<std::shared_ptr<TlsServer>> TlsServer::load(const std::string& certificate_file, const std::string& key_file, const std::string& client_ca_file,
                                                   bool clients_may_be_nameless) {
  std::shared_ptr<TlsServer> tls(new TlsServer());
  harden(tls->context());
  VERGE_TRY(use_identity(tls->context(), certificate_file, key_file));
  if (!client_ca_file.empty()) {
    VERGE_TRY(trust(tls->context(), client_ca_file));
    // Without a name of its own a context that checks clients refuses all who resume a session.
    static constexpr unsigned char kSessions[] = "verge";
    SSL_CTX_set_session_id_context(tls->context().native_handle(), kSessions, sizeof kSessions - 1);
    error_code ec;
    tls->context().set_verify_mode(clients_may_be_nameless ? ssl::verify_peer : ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, ec);
    if (ec) return fail(Code::Io, "TLS: {}", ec.message());
  }
  return tls;
}

Result<std::shared_ptr<TlsClient>> TlsClient::load(const std::string& ca_file, const std::string& certificate_file, const std::string& key_file) {
  std::shared_ptr<TlsClient> tls(new TlsClient());
  harden(tls->context());
  VERGE_TRY(trust(tls->context(), ca_file));
  error_code ec;
  tls->context().set_verify_mode(ssl::verify_peer, ec);
  if (ec) return fail(Code::Io, "TLS: {}", ec.message());
  if (!certificate_file.empty()) VERGE_TRY(use_identity(tls->context(), certificate_file, key_file));
  return tls;
}

}  // namespace verge::http
