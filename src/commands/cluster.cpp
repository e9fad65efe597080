// `verge cluster init DIR` and `verge cluster join DIR`: who may be part of a cluster.
#include "commands/cluster.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cluster/identity.h"
#include "support/clock.h"

namespace verge::commands {
namespace {

struct Options {
  std::string folder, keys, name;
  bool nats = false;
  std::vector<std::string> nats_hosts{"127.0.0.1"};
  cluster::Member member{"", "", "both", ""};
};

Result<void> init(const Options& o) {
  VERGE_TRY(cluster::init_cluster(o.folder, o.nats_hosts, unix_ms()));
  std::printf("%s holds a new cluster. Its ca.key signs new machines: keep it where no machine of the cluster is.\n"
              "Next: start NATS with   cd %s/nats && nats-server -c nats.conf\n"
              "and make each machine's keys with   verge cluster join %s --name NAME --region REGION --role node|gateway|both\n",
              o.folder.c_str(), o.folder.c_str(), o.folder.c_str());
  return {};
}

Result<void> join(const Options& o) {
  const std::string keys = o.keys.empty() ? o.folder + "/keys/" + o.member.name : o.keys;
  VERGE_ASSIGN(identity, cluster::join_cluster(o.folder, o.member, keys, unix_ms()));
  std::printf("%s holds the keys of %s (region %s, %s). Copy the folder to that machine and nowhere else, and start there:\n"
              "  verge serve --role %s --cluster nats://HOST:4222 --cluster-keys FOLDER --listen ADDRESS:PORT%s\n"
              "NATS must learn of it: copy %s/nats/users.conf to its servers, then nats-server --signal reload\n",
              keys.c_str(), o.member.name.c_str(), o.member.region.c_str(), o.member.role.c_str(), o.member.role.c_str(),
              o.member.role == "gateway" ? "" : " --advertise HOST:PORT", o.folder.c_str());
  return {};
}

Result<void> renew(const Options& o) {
  if (o.nats == !o.name.empty()) return fail(Code::InvalidInput, "renew wants --name NAME, or --nats for the NATS servers");
  if (o.nats) {
    VERGE_TRY(cluster::renew_nats(o.folder, unix_ms()));
    std::printf("%s/nats/server.crt and server.key are new: copy both to the NATS servers, then nats-server --signal reload\n", o.folder.c_str());
    return {};
  }
  const std::string keys = o.keys.empty() ? o.folder + "/keys/" + o.name : o.keys;
  VERGE_TRY(cluster::renew_member(o.folder, o.name, keys, unix_ms()));
  std::printf("%s holds a new node.crt and node.key of %s: copy both (and ca.crt) into its folder of keys and restart it there.\n"
              "Its key for NATS stays: users.conf is as it was.\n",
              keys.c_str(), o.name.c_str());
  return {};
}

}  // namespace

int cluster(int argc, char** argv) {
  CLI::App app("Make a cluster's certificates and keys", argv[0]);
  app.require_subcommand(1);
  Options o;
  CLI::App* making = app.add_subcommand("init", "Make a cluster: its authority, and a configuration for NATS");
  making->add_option("folder", o.folder, "Folder for the authority's key and the list of members")->required();
  making->add_option("--nats-host", o.nats_hosts, "Name or address that NATS is reached by (repeatable)")->capture_default_str();
  CLI::App* joining = app.add_subcommand("join", "Make the keys of one more machine");
  joining->add_option("folder", o.folder, "Folder that `verge cluster init` made")->required();
  joining->add_option("--name", o.member.name, "Its name")->required();
  joining->add_option("--region", o.member.region, "Its region")->required();
  joining->add_option("--role", o.member.role, "gateway, node or both")->capture_default_str()->check(CLI::IsMember({"gateway", "node", "both"}));
  joining->add_option("--out", o.keys, "Folder for its keys (default: FOLDER/keys/NAME)");
  CLI::App* renewing = app.add_subcommand("renew", "Make new certificates before the old ones expire");
  renewing->add_option("folder", o.folder, "Folder that `verge cluster init` made")->required();
  renewing->add_option("--name", o.name, "Of this member");
  renewing->add_flag("--nats", o.nats, "Of the NATS servers");
  renewing->add_option("--out", o.keys, "Folder for the member's files (default: FOLDER/keys/NAME)");
  CLI11_PARSE(app, argc, argv);
  auto done = *making ? init(o) : *renewing ? renew(o) : join(o);
  if (done) return 0;
  std::fprintf(stderr, "verge cluster: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace verge::commands
