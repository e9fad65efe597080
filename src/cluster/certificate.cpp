#include "cluster/certificate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>

#include "support/random.h"

namespace verge::cluster {
namespace {

template <class T, void (*destroy)(T*)>
struct Destroy {
  void operator()(T* p) const { destroy(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Destroy<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Destroy<X509, X509_free>>;

// Valid from the day before: clocks of the machines may be hours apart.
constexpr int64_t kEarlierS = 86'400;
constexpr int64_t kAuthorityS = int64_t{10} * 365 * 86'400;
constexpr int64_t kMemberS = int64_t{5} * 365 * 86'400;

Error broken(std::string_view what) {
  char text[256] = "";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return fail(Code::Internal, "OpenSSL: {}: {}", what, text);
}

Result<void> write_file(const std::string& path, mode_t mode, const std::function<bool(FILE*)>& write) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail(Code::Io, "cannot make {}: {}", path, std::strerror(errno));
  FILE* file = ::fdopen(fd, "w");
  const bool written = file && write(file);
  const bool closed = file ? std::fclose(file) == 0 : ::close(fd) == 0;
  if (written && closed) return {};
  ::unlink(path.c_str());
  return fail(Code::Io, "cannot write {}", path);
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  const bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

Result<Certificate> unsigned_certificate(EVP_PKEY* key, const std::string& common_name, int64_t now_ms, int64_t seconds) {
  Certificate certificate(X509_new());
  const auto serial = static_cast<uint64_t>(random_u64() >> 1 | 1);
  auto now = static_cast<time_t>(now_ms / 1000);
  X509* x = certificate.get();
  if (!x || X509_set_version(x, 2) != 1 || ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) != 1 ||
      !X509_time_adj_ex(X509_getm_notBefore(x), 0, -kEarlierS, &now) || !X509_time_adj_ex(X509_getm_notAfter(x), static_cast<int>(seconds / 86'400), 0, &now) ||
      X509_set_pubkey(x, key) != 1 ||
      X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) != 1)
    return broken("certificate");
  return certificate;
}

Result<void> write_pair(X509* certificate, EVP_PKEY* key, const std::string& certificate_file, const std::string& key_file) {
  VERGE_TRY(write_file(key_file, 0600, [&](FILE* file) { return PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1; }));
  auto written = write_file(certificate_file, 0644, [&](FILE* file) { return PEM_write_X509(file, certificate) == 1; });
  if (!written) ::unlink(key_file.c_str());
  return written;
}

// "IP:127.0.0.1" or "DNS:a.example"; a comma would begin another entry.
Result<std::string> alternative_name(const std::string& name) {
  const bool proper = !name.empty() && name.size() < 254 &&
                      std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == ':' || c == '*'; });
  if (!proper) return fail(Code::InvalidInput, "'{}' is no host name or address", name);
  const bool address = name.find(':') != std::string::npos || name.find_first_not_of("0123456789.") == std::string::npos;
  return (address ? "IP:" : "DNS:") + name;
}

Result<FILE*> open_file(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "re");
  if (!file) return fail(Code::NotFound, "cannot read {}: {}", path, std::strerror(errno));
  return file;
}

}  // namespace

Result<void> make_authority(const std::string& folder, int64_t now_ms) {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return broken("key");
  VERGE_ASSIGN(certificate, unsigned_certificate(key.get(), "verge cluster", now_ms, kAuthorityS));
  X509* x = certificate.get();
  if (X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 || !add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") || !add_extension(x, x, NID_subject_key_identifier, "hash") ||
      X509_sign(x, key.get(), EVP_sha256()) == 0)
    return broken("authority");
  return write_pair(x, key.get(), folder + "/ca.crt", folder + "/ca.key");
}

Result<void> make_certificate(const std::string& authority_folder, const std::string& common_name, const std::vector<std::string>& names,
                              const std::string& certificate_file, const std::string& key_file, int64_t now_ms) {
  VERGE_ASSIGN(key_in, open_file(authority_folder + "/ca.key"));
  Key authority_key(PEM_read_PrivateKey(key_in, nullptr, nullptr, nullptr));
  std::fclose(key_in);
  VERGE_ASSIGN(certificate_in, open_file(authority_folder + "/ca.crt"));
  Certificate authority(PEM_read_X509(certificate_in, nullptr, nullptr, nullptr));
  std::fclose(certificate_in);
  if (!authority_key || !authority) return fail(Code::InvalidInput, "ca.crt or ca.key in {} is damaged", authority_folder);

  std::string alternatives;
  for (const std::string& name : names) {
    VERGE_ASSIGN(one, alternative_name(name));
    alternatives += (alternatives.empty() ? "" : ",") + one;
  }
  Key key(EVP_EC_gen("P-256"));
  if (!key) return broken("key");
  VERGE_ASSIGN(certificate, unsigned_certificate(key.get(), common_name, now_ms, kMemberS));
  X509* x = certificate.get();
  if (X509_set_issuer_name(x, X509_get_subject_name(authority.get())) != 1 || !add_extension(x, authority.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(x, authority.get(), NID_key_usage, "critical,digitalSignature") ||
      !add_extension(x, authority.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(x, authority.get(), NID_authority_key_identifier, "keyid") ||
      (!alternatives.empty() && !add_extension(x, authority.get(), NID_subject_alt_name, alternatives)) ||
      X509_sign(x, authority_key.get(), EVP_sha256()) == 0)
    return broken("certificate");
  return write_pair(x, key.get(), certificate_file, key_file);
}

Result<void> renew_certificate(const std::string& authority_folder, const std::string& common_name, const std::vector<std::string>& names,
                               const std::string& certificate_file, const std::string& key_file, int64_t now_ms) {
  const std::string fresh_certificate = certificate_file + ".new", fresh_key = key_file + ".new";
  ::unlink(fresh_certificate.c_str());
  ::unlink(fresh_key.c_str());
  VERGE_TRY(make_certificate(authority_folder, common_name, names, fresh_certificate, fresh_key, now_ms));
  for (const auto& [fresh, file] : {std::pair{fresh_key, key_file}, {fresh_certificate, certificate_file}})
    if (::rename(fresh.c_str(), file.c_str()) != 0) return fail(Code::Io, "cannot write {}: {}", file, std::strerror(errno));
  return {};
}

namespace {

Result<Certificate> load_certificate(const std::string& path) {
  VERGE_ASSIGN(file, open_file(path));
  Certificate certificate(PEM_read_X509(file, nullptr, nullptr, nullptr));
  std::fclose(file);
  if (!certificate) return fail(Code::InvalidInput, "{} is no certificate (PEM): copy it once more from where it was made", path);
  return certificate;
}

int64_t seconds_of(const ASN1_TIME* time) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return 0;
  return timegm(&utc);
}

}  // namespace

Result<CertificateFacts> read_certificate(const std::string& path) {
  VERGE_ASSIGN(certificate, load_certificate(path));
  X509* x = certificate.get();
  CertificateFacts out;
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
  out.common_name = name;
  out.not_before_s = seconds_of(X509_get0_notBefore(x));
  out.not_after_s = seconds_of(X509_get0_notAfter(x));
  auto* alternatives = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(alternatives, i);
    const ASN1_STRING* text = one->type == GEN_DNS ? one->d.dNSName : one->type == GEN_IPADD ? one->d.iPAddress : nullptr;
    if (!text) continue;
    const unsigned char* bytes = ASN1_STRING_get0_data(text);
    const int length = ASN1_STRING_length(text);
    if (one->type == GEN_DNS) {
      out.names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
    } else {
      char address[INET6_ADDRSTRLEN] = "";
      if (inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, address, sizeof address)) out.names.emplace_back(address);
    }
  }
  GENERAL_NAMES_free(alternatives);
  return out;
}

Result<void> check_pair(const std::string& authority_file, const std::string& certificate_file, const std::string& key_file) {
  VERGE_ASSIGN(certificate, load_certificate(certificate_file));
  VERGE_ASSIGN(authority, load_certificate(authority_file));
  VERGE_ASSIGN(file, open_file(key_file));
  Key key(PEM_read_PrivateKey(file, nullptr, nullptr, nullptr));
  std::fclose(file);
  ERR_clear_error();
  if (!key) return fail(Code::InvalidInput, "{} is no private key (PEM): copy it once more from where it was made", key_file);
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(Code::InvalidInput, "{} is not the key of {}: one of them is of another member, or from before a renewal; copy both", key_file, certificate_file);
  }
  const bool signed_by = X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  ERR_clear_error();
  if (!signed_by)
    return fail(Code::InvalidInput, "{} was not signed by the authority in {}: they are of two clusters; take both from the same one", certificate_file, authority_file);
  return {};
}

}  // namespace verge::cluster
