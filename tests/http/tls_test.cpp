#include "http/tls.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>

#include "http/client.h"
#include "http/server.h"
#include "tests/http/loop.h"

namespace verge::http {
namespace {

// A self-signed certificate for 127.0.0.1 in two PEM files, made for this run.
class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("verge_tls_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("verge test"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, "IP:127.0.0.1"}, std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
      X509_add_ext(certificate, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(certificate, key, EVP_sha256());
    FILE* out = fopen(certificate_file().c_str(), "w");
    PEM_write_X509(out, certificate);
    fclose(out);
    out = fopen(key_file().c_str(), "w");
    PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string certificate_file() const { return folder_ / "cert.pem"; }
  std::string key_file() const { return folder_ / "key.pem"; }

  std::unique_ptr<Server> serve(const std::string& client_ca = "") {
    ServerOptions options;
    options.tls = *TlsServer::load(certificate_file(), key_file(), client_ca);
    auto server = std::make_unique<Server>(
        io_.get_executor(),
        [](Incoming& in, Responder& out) -> task<void> {
          const std::string text = in.tls ? "tls " : "plain ";
          co_await out.start(200, {});
          co_await out.write(text);
          co_await out.write(in.body);
          co_await out.finish();
        },
        options);
    EXPECT_TRUE(server->listen_tcp("127.0.0.1", 0));
    return server;
  }
  Result<std::string> ask(const Server& server, std::shared_ptr<TlsClient> tls, std::string body = "") {
    Endpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = server.port();
    endpoint.tls = std::move(tls);
    Result<std::string> answer = std::string();
    run_to_end(io_, [&]() -> task<void> {
      Client client(io_.get_executor(), endpoint);
      for (int i = 0; i < 2; ++i) {
        ClientRequest request{"POST", "/", {}, body};
        auto response = co_await client.send(request);
        if (!response) {
          answer = response.error();
          co_return;
        }
        answer = co_await (*response)->read_all(10 << 20);
      }
    });
    return answer;
  }

  asio::io_context io_{1};
  std::filesystem::path folder_;
};

TEST_F(TlsTest, ServesAndAsksOverTls) {
  const auto server = serve();
  const std::string body(3'000'000, 'z');
  const auto answer = ask(*server, *TlsClient::load(certificate_file()), body);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(*answer == "tls " + body);
}

TEST_F(TlsTest, TheClientRefusesACertificateItDoesNotTrust) {
  const auto server = serve();
  const auto answer = ask(*server, *TlsClient::load());
  ASSERT_FALSE(answer);
  EXPECT_NE(std::string::npos, answer.error().message.find("TLS")) << answer.error().message;
}

TEST_F(TlsTest, MutualTlsNeedsTheClientsCertificate) {
  const auto server = serve(certificate_file());
  EXPECT_FALSE(ask(*server, *TlsClient::load(certificate_file())));
  const auto answer = ask(*server, *TlsClient::load(certificate_file(), certificate_file(), key_file()));
  EXPECT_TRUE(answer && *answer == "tls ");
}

TEST_F(TlsTest, PlainBytesOnATlsPortAreNoRequest) {
  const auto server = serve();
  RawClient client(io_, server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(std::string::npos, client.read_to_end().find("200"));
}

TEST_F(TlsTest, NamesTheFileThatIsWrong) {
  const auto missing = TlsServer::load("/nonexistent.pem", key_file());
  ASSERT_FALSE(missing);
  EXPECT_NE(std::string::npos, missing.error().message.find("/nonexistent.pem"));
  std::ofstream(folder_ / "bad.pem") << "no certificate";
  EXPECT_FALSE(TlsServer::load(folder_ / "bad.pem", key_file()));
  EXPECT_FALSE(TlsClient::load(folder_ / "bad.pem"));
}

}  // namespace
}  // namespace verge::http
