#include "server/checks.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "api/origins.h"
#include "node/io/installed.h"

namespace verge::server {
namespace {

// A typo shows at start, and so do files that no load could take, before they cost another model
// its place.
Result<void> map_paths(const Options& options, catalogue::Catalogue& catalogue, node::NodeOptions& node) {
  for (const std::string& text : options.models) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::InvalidInput, "--model wants ID=PATH, not '{}'", text);
    const std::string id = text.substr(0, equals);
    std::error_code ec;
    const auto path = std::filesystem::canonical(text.substr(equals + 1), ec);
    if (ec) return fail(Code::Io, "--model {}: cannot open {}: {}", id, text.substr(equals + 1), ec.message());
    if (!catalogue::valid_id(id)) return fail(Code::InvalidInput, "--model: '{}' is no model id (as in @me/name)", id);
    const catalogue::Entry* known = catalogue.find(id);
    auto seen = node.inspections->of(node::look_at(path.string()));
    if (!seen) return fail(seen.error().code, "--model {}: {}", id, seen.error().message);
    std::string task = std::move(seen->facts.task);
    if (known && known->task != task)
      return fail(Code::InvalidInput, "--model {}: this model is for {}, the files in {} are one for {}", id, known->task, path.string(), task);
    if (!known) {
      catalogue::Entry entry;
      entry.id = id;
      entry.task = std::move(task);
      entry.description = "From " + path.filename().string();
      catalogue.add(std::move(entry));
    }
    node.resolve.paths[known ? known->id : id] = path.string();
  }
  return {};
}

// --stand-in ID=OTHER: ids of the catalogue or of --model; an ID that nobody knows becomes one.
Result<void> name_stand_ins(const Options& options, catalogue::Catalogue& catalogue, node::ResolveOptions& resolve) {
  for (const std::string& text : options.named_stand_ins) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::InvalidInput, "--stand-in wants ID=OTHER, not '{}'", text);
    const std::string id = text.substr(0, equals), other = text.substr(equals + 1);
    if (!catalogue::valid_id(id)) return fail(Code::InvalidInput, "--stand-in: '{}' is no model id (as in @me/name)", id);
    const catalogue::Entry* answers = catalogue.find(other);
    if (!answers) return fail(Code::NoSuchModel, "--stand-in {}: no such model: {}", id, other);
    if (!catalogue.find(id)) {
      catalogue::Entry entry = *answers;
      entry.id = id;
      entry.uuid.clear();
      entry.aliases.clear();
      entry.sources.clear();
      entry.stand_in = false;
      entry.description = "Answered by " + answers->id;
      catalogue.add(std::move(entry));
      answers = catalogue.find(other);
    }
    const catalogue::Entry* asked = catalogue.find(id);
    if (asked == answers) return fail(Code::InvalidInput, "--stand-in {}: this is {} itself", id, other);
    if (asked->task != answers->task) return fail(Code::InvalidInput, "--stand-in {}: it is for {}, {} is for {}", id, asked->task, other, answers->task);
    if (resolve.paths.contains(asked->id)) return fail(Code::InvalidInput, "--stand-in {}: --model gives it files of its own", id);
    resolve.named_stand_ins[asked->id] = answers->id;
  }
  return {};
}

// Options that ask for what another one rules out are named, not dropped.
Result<void> check_combinations(const Options& options) {
  if (options.certificate.empty() != options.key.empty()) return fail(Code::InvalidInput, "--tls-cert and --tls-key belong together: give both");
  if (options.node()) return {};
  for (const auto& [flag, given] : {std::pair{"--preload", !options.preload.empty()}, {"--threads", options.threads != 0}, {"--context", options.context != 0},
                                    {"--memory", options.memory_mib != 0}, {"--kv-memory", options.kv_mib != 0}, {"--kv-type", !options.kv_type.empty()},
                                    {"--weights", !options.weights.empty()}})
    if (given) return fail(Code::InvalidInput, "{} is for machines that run models: --role gateway runs none", flag);
  return {};
}

Result<void> check_cluster(Options& options) {
  if (options.cluster.empty()) {
    for (const auto& [flag, given] : {std::pair{"--role", !options.role.empty()}, {"--region", !options.region.empty()}, {"--coordinates", !options.coordinates.empty()},
                                      {"--advertise", !options.advertise.empty()}, {"--peer-listen", !options.peer_listen.empty()}, {"--cluster-keys", !options.keys.empty()},
                                      {"--insecure-cluster", options.insecure_cluster}})
      if (given) return fail(Code::InvalidInput, "{} is for a cluster: give --cluster nats://HOST:PORT too", flag);
    if (options.name.empty()) options.name = "local";
    return {};
  }
  if (options.role.empty()) options.role = "both";
  if (options.role == "node" && !options.workers.empty()) return fail(Code::InvalidInput, "--worker: Workers are hosted by gateways, not by --role node");
  if (options.role == "node" && !options.token_file.empty()) return fail(Code::InvalidInput, "--tokens is for gateways: nodes ask clients for none");
  if (options.role == "both" && options.peer_listen.empty()) {
    // The node's door is no part of the public API: it has a port of its own.
    if (options.insecure_cluster) options.peer_listen = options.advertise.empty() ? "127.0.0.1:0" : options.advertise;
    else return fail(Code::InvalidInput, "--role both needs --peer-listen ADDRESS:PORT: where other machines reach this one's node");
  }
  return {};
}

}  // namespace

Result<void> check_options(Options& options) {
  VERGE_TRY(check_cluster(options));
  VERGE_TRY(check_combinations(options));
  for (std::string& origin : options.origins) {
    VERGE_ASSIGN(pattern, api::parse_origin_pattern(origin));
    origin = std::move(pattern);
  }
  return {};
}

Result<void> map_models(const Options& options, catalogue::Catalogue& catalogue,
                        node::NodeOptions& node) {
  VERGE_TRY(map_paths(options, catalogue, node));
  return name_stand_ins(options, catalogue, node.resolve);
}

Result<void> check_exposure(const Options& options, const Address& address, bool tokens) {
  if (is_loopback(address.host) || options.insecure) return {};
  // A cluster's tokens may be made at any gateway, later: until then nobody on the network is let in.
  if (!tokens && options.cluster.empty())
    return fail(Code::Forbidden,
                "{} is not loopback and no API token exists: anyone on the network could use this server. Make one with 'verge token create' "
                "(same --data), or say --insecure to serve without",
                options.listen);
  if (options.certificate.empty())
    return fail(Code::Forbidden,
                "{} is not loopback and there is no TLS: tokens would travel in clear. Give --tls-cert and --tls-key, or say --insecure if a "
                "proxy in front does TLS",
                options.listen);
  return {};
}

std::string host_of_link(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "[::1]";
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::vector<std::string> own_hosts(const Options& options, const Address& address) {
  std::vector<std::string> hosts = options.hosts;
  hosts.push_back(address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]");
  if (options.insecure) {
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) == 0) hosts.emplace_back(name);
  }
  return hosts;
}

}  // namespace verge::server
