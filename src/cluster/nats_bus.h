// The bus over NATS (core subjects for messages, JetStream's key-value buckets for shared values). Works with nats-server 2.9 and
// libnats 3.4, the versions of Debian 12; nothing newer is used. NATS: https://docs.nats.io/reference/reference-protocols
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

#include "cluster/bus.h"

namespace verge::cluster {

// In certificates of NATS servers that `verge cluster init` makes, whatever their address.
inline constexpr const char* kNatsServerName = "nats.verge";

struct NatsOptions {
  std::string servers;         // "nats://a:4222,nats://b:4222"
  std::string name;            // of this program, for the server's lists and for its inbox
  // Identity, as files; empty = none (a loopback server without authorisation).
  std::string nkey_seed_file;  // "SU…", its public key is derived
  std::string ca_file, certificate_file, key_file;  // with ca_file: TLS, and the server must be signed by it
  int replicas = 1;            // of buckets that this program makes
};

// Starts connecting and returns at once; goes on trying for ever. Errors: InvalidInput, Io (files).
Result<std::unique_ptr<Bus>> connect_nats(boost::asio::any_io_executor executor, NatsOptions options);

}  // namespace verge::cluster
