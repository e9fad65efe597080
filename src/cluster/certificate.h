// X.509 certificates (EC P-256) in PEM files, by OpenSSL.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/error.h"

namespace verge::cluster {

// An authority of its own: FOLDER/ca.crt and ca.key, for ten years. Errors: Io, Internal.
Result<void> make_authority(const std::string& folder, int64_t now_ms);

// A certificate for server and client use, signed by FOLDER's authority; names: host names or addresses it is valid for.
// Five years. The key file can be read by its owner alone. Errors: Io, Internal, InvalidInput (a name that cannot stand in a certificate).
Result<void> make_certificate(const std::string& authority_folder, const std::string& common_name, const std::vector<std::string>& names,
                              const std::string& certificate_file, const std::string& key_file, int64_t now_ms);

// Instead of files that are there: each is replaced as a whole, the key first.
Result<void> renew_certificate(const std::string& authority_folder, const std::string& common_name, const std::vector<std::string>& names,
                               const std::string& certificate_file, const std::string& key_file, int64_t now_ms);

struct CertificateFacts {
  std::string common_name;
  std::vector<std::string> names;  // host names and addresses that it is valid for
  int64_t not_before_s = 0, not_after_s = 0;  // Unix time
};
// Errors: Io, InvalidInput (no certificate in PEM).
Result<CertificateFacts> read_certificate(const std::string& file);
// That the key is the certificate's, and the certificate the authority's. Errors: Io, InvalidInput.
Result<void> check_pair(const std::string& authority_file, const std::string& certificate_file, const std::string& key_file);

}  // namespace verge::cluster
