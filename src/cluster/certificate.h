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

}  // namespace verge::cluster
