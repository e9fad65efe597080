// Certificates and keys of a cluster, as files. One authority signs all machines; a machine that shows its certificate is of
// the cluster, and its common name is the node's or gateway's name.
//
//   DIR (of `verge cluster init`, kept by the operator)     KEYS (of `verge cluster join`, goes to one machine)
//     ca.crt ca.key      the authority; ca.key is secret      ca.crt
//     members/NAME.json  name, region, role, public NKey      node.crt node.key   for TLS between machines and to NATS
//     nats/server.crt server.key nats.conf users.conf         nkey.seed           for NATS
//                                                             cluster.json        name, region, role
#pragma once

#include <string>
#include <vector>

#include "support/error.h"

namespace verge::cluster {

struct Member {
  std::string name;
  std::string region;
  std::string role;        // "gateway", "node", "both"
  std::string public_key;  // NKey
};

// What a machine shows of itself, from its KEYS folder.
struct Identity {
  std::string folder;
  Member member;
  std::string ca() const { return folder + "/ca.crt"; }
  std::string certificate() const { return folder + "/node.crt"; }
  std::string key() const { return folder + "/node.key"; }
  std::string nkey() const { return folder + "/nkey.seed"; }
};

// Makes DIR. nats_hosts: names and addresses that the NATS servers are reached by. Errors: InvalidInput where DIR holds a
// cluster already, Io.
Result<void> init_cluster(const std::string& folder, const std::vector<std::string>& nats_hosts, int64_t now_ms);

// Makes KEYS for a new member and writes it into DIR's list of NATS users. Errors: InvalidInput (name, role, a member of that name),
// NotFound (no cluster there), Io.
Result<Identity> join_cluster(const std::string& folder, Member member, const std::string& keys, int64_t now_ms);

// New certificates for a member (its NKey stays: NATS need not learn anything), or for the NATS servers, with the names that the old one
// had. KEYS gets ca.crt, node.crt and node.key. Errors: NotFound (no such member or cluster), Io.
Result<void> renew_member(const std::string& folder, const std::string& name, const std::string& keys, int64_t now_ms);
Result<void> renew_nats(const std::string& folder, int64_t now_ms);

// Errors: Io, InvalidInput (damaged).
Result<Identity> read_identity(const std::string& keys);

// users.conf of nats-server: one account for all, each member with the rights that its role needs, and a system account
// that nobody of them can use. Pure.
std::string nats_users(const std::vector<Member>& members);

}  // namespace verge::cluster
