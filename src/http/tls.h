// TLS contexts (OpenSSL): 1.2 and later. Certificates are PEM files.
#pragma once

#include <memory>
#include <string>

#include "support/error.h"

namespace boost::asio::ssl {
class context;
}

namespace verge::http {

class TlsServer {
 public:
  // client_ca: where set, clients must show a certificate signed by it (mutual TLS). With `clients_may_be_nameless` they need
  // not show one; one that they do show must be signed by it all the same, and the handler looks at RequestHead::tls_peer.
  static Result<std::shared_ptr<TlsServer>> load(const std::string& certificate_file, const std::string& key_file,
                                                 const std::string& client_ca_file = "", bool clients_may_be_nameless = false);
  ~TlsServer();
  boost::asio::ssl::context& context() { return *context_; }

 private:
  TlsServer();
  std::unique_ptr<boost::asio::ssl::context> context_;
};

class TlsClient {
 public:
  // ca_file: trusts this authority alone; empty = the system's. The peer's name is always checked.
  static Result<std::shared_ptr<TlsClient>> load(const std::string& ca_file = "", const std::string& certificate_file = "",
                                                 const std::string& key_file = "");
  ~TlsClient();
  boost::asio::ssl::context& context() { return *context_; }

 private:
  TlsClient();
  std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace verge::http
