// NKeys, the key pairs that NATS knows its clients by: Ed25519, written in base32 with a kind and a checksum.
// Format: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth and nkeys.go's source.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::cluster {

struct Nkey {
  std::string seed;        // "SU…", secret
  std::string public_key;  // "U…"
};

// A new key pair for a user (a node, a gateway). Internal if the machine has no random numbers.
Result<Nkey> make_user_nkey();
// The pair of a seed. InvalidInput: not a user's seed, or damaged.
Result<Nkey> nkey_of_seed(std::string_view seed);

}  // namespace verge::cluster
