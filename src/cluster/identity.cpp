#include "cluster/identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cluster/certificate.h"
#include "cluster/cluster.h"
#include "cluster/heartbeat.h"
#include "cluster/nkey.h"
#include "support/json.h"

namespace verge::cluster {
namespace {

namespace fs = std::filesystem;

// A new file, whole or not at all.
Result<void> write(const std::string& path, const std::string& text, mode_t mode) {
  const std::string part = path + ".part";
  ::unlink(part.c_str());
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail(Code::Io, "cannot make {}: {}", part, std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written || ::rename(part.c_str(), path.c_str()) != 0) return fail(Code::Io, "cannot write {}: {}", path, std::strerror(errno));
  return {};
}

Result<json::object> read_object(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::NotFound, "cannot read {}: {}", path, std::strerror(errno));
  auto value = parse_json(text.str());
  if (!value || !value->is_object()) return fail(Code::InvalidInput, "{} is damaged", path);
  return std::move(value->get_object());
}

json::object to_json(const Member& member) {
  return {{"name", member.name}, {"region", member.region}, {"role", member.role}, {"nkey", member.public_key}};
}
Member member_of(const json::object& object) {
  return {get_string(object, "name").value_or(""), get_string(object, "region").value_or(""), get_string(object, "role").value_or(""),
          get_string(object, "nkey").value_or("")};
}

Result<std::vector<Member>> members_of(const std::string& folder) {
  std::vector<Member> out;
  std::error_code ec;
  for (const auto& file : fs::directory_iterator(folder + "/members", ec)) {
    if (file.path().extension() != ".json") continue;
    VERGE_ASSIGN(object, read_object(file.path().string()));
    out.push_back(member_of(object));
  }
  if (ec) return fail(Code::NotFound, "{} holds no cluster (verge cluster init makes one)", folder);
  std::sort(out.begin(), out.end(), [](const Member& a, const Member& b) { return a.name < b.name; });
  return out;
}

// Paths are relative to the file: nats-server resolves `include` so, and the others against its working folder.
constexpr const char* kNatsConfig = R"(# NATS for one region. Start it in this folder: nats-server -c nats.conf
# After `verge cluster join`: nats-server --signal reload
server_name: verge-1
listen: "0.0.0.0:4222"
http: "127.0.0.1:8222"
jetstream { store_dir: "./jetstream" }
tls {
  cert_file: "./server.crt"
  key_file: "./server.key"
  ca_file: "../ca.crt"
  verify: true
  timeout: 3
}
include "./users.conf"
)";

std::string quoted(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& one : list) out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", one);
  return "[" + out + "]";
}

}  // namespace

std::string nats_users(const std::vector<Member>& members) {
  std::string out = "# Written by `verge cluster`. One account for all machines of the cluster; each may say only what its role and name allow.\n"
                    "accounts {\n  VERGE {\n    jetstream: enabled\n    users: [\n";
  for (const Member& member : members) {
    std::vector<std::string> say;
    if (member.role != "gateway") say.push_back(fmt::format("verge.node.{}.{}.hb", member.region, member.name));
    std::vector<std::string> buckets{"verge_models"};
    if (member.role != "node") {
      buckets.push_back("verge_quota");
      say.push_back("verge.demand." + member.name);
      say.push_back("verge.usage." + member.name);
      say.push_back("verge.usage." + member.name + ".*");
      say.push_back("verge.accounts." + member.name);
      say.push_back("verge.limits." + member.name);
      say.push_back("$KV.verge_quota.>");
      say.push_back("$KV.verge_models.>");
    }
    for (const std::string& bucket : buckets) {
      for (const char* call : {"$JS.API.STREAM.INFO.KV_{}", "$JS.API.STREAM.CREATE.KV_{}", "$JS.API.STREAM.MSG.GET.KV_{}", "$JS.API.DIRECT.GET.KV_{}", "$JS.API.DIRECT.GET.KV_{}.>",
                               "$JS.API.CONSUMER.CREATE.KV_{}", "$JS.API.CONSUMER.CREATE.KV_{}.>", "$JS.API.CONSUMER.DELETE.KV_{}.>", "$JS.API.CONSUMER.INFO.KV_{}.>"})
        say.push_back(fmt::format(fmt::runtime(call), bucket));
    }
    say.push_back("$JS.API.INFO");
    say.push_back("$JS.API.STREAM.NAMES");  // asked before a bucket is listed
    say.push_back("$JS.ACK.>");
    say.push_back("$JS.FC.>");
    std::vector<std::string> hear{"verge.node.>", fmt::format("_INBOX.{}.>", member.name)};
    if (member.role != "gateway") hear.push_back("verge.demand.*");
    if (member.role != "node") {
      hear.push_back("verge.usage.*");
      hear.push_back("verge.usage.*." + member.name);
      hear.push_back("verge.accounts.*");
      hear.push_back("verge.limits.*");
    }
    out += fmt::format("      # {} ({}, {})\n      {{ nkey: \"{}\", permissions: {{ publish: {{ allow: {} }}, subscribe: {{ allow: {} }} }} }}\n", member.name, member.region, member.role,
                       member.public_key, quoted(say), quoted(hear));
  }
  return out + "    ]\n  }\n  SYS {}\n}\nsystem_account: SYS\n";
}

Result<void> init_cluster(const std::string& folder, const std::vector<std::string>& nats_hosts, int64_t now_ms) {
  std::error_code ec;
  if (fs::exists(folder + "/ca.key", ec)) return fail(Code::InvalidInput, "{} holds a cluster already: a new one would shut all its machines out", folder);
  fs::create_directories(folder + "/members", ec);
  if (!ec) fs::create_directories(folder + "/nats", ec);
  if (ec) return fail(Code::Io, "cannot make {}: {}", folder, ec.message());
  VERGE_TRY(make_authority(folder, now_ms));
  std::vector<std::string> names{"nats.verge"};
  names.insert(names.end(), nats_hosts.begin(), nats_hosts.end());
  VERGE_TRY(make_certificate(folder, "nats.verge", names, folder + "/nats/server.crt", folder + "/nats/server.key", now_ms));
  VERGE_TRY(write(folder + "/nats/users.conf", nats_users({}), 0644));
  return write(folder + "/nats/nats.conf", kNatsConfig, 0644);
}

Result<Identity> join_cluster(const std::string& folder, Member member, const std::string& keys, int64_t now_ms) {
  if (!valid_name(member.name)) return fail(Code::InvalidInput, "--name wants lower-case letters, digits and '-', at most 63, not '{}'", member.name);
  if (!valid_name(member.region)) return fail(Code::InvalidInput, "--region wants lower-case letters, digits and '-', at most 63, not '{}'", member.region);
  if (member.role != "gateway" && member.role != "node" && member.role != "both") return fail(Code::InvalidInput, "--role is gateway, node or both, not '{}'", member.role);
  VERGE_ASSIGN(members, members_of(folder));
  for (const Member& other : members)
    if (other.name == member.name)
      return fail(Code::InvalidInput, "{} is a member already (region {}): take another name, or remove {}/members/{}.json to shut the old one out", member.name, other.region, folder, member.name);
  std::error_code ec;
  if (fs::exists(keys + "/node.key", ec)) return fail(Code::InvalidInput, "{} holds keys already", keys);
  fs::create_directories(keys, ec);
  if (ec) return fail(Code::Io, "cannot make {}: {}", keys, ec.message());
  VERGE_ASSIGN(pair, make_user_nkey());
  member.public_key = pair.public_key;
  const Identity identity{keys, member};
  VERGE_TRY(make_certificate(folder, member.name, {certificate_name(member.name)}, identity.certificate(), identity.key(), now_ms));
  fs::copy_file(folder + "/ca.crt", identity.ca(), fs::copy_options::overwrite_existing, ec);
  if (ec) return fail(Code::Io, "cannot write {}: {}", identity.ca(), ec.message());
  VERGE_TRY(write(identity.nkey(), pair.seed + "\n", 0600));
  VERGE_TRY(write(keys + "/cluster.json", json::serialize(to_json(member)) + "\n", 0644));
  VERGE_TRY(write(fmt::format("{}/members/{}.json", folder, member.name), json::serialize(to_json(member)) + "\n", 0644));
  members.push_back(member);
  VERGE_TRY(write(folder + "/nats/users.conf", nats_users(members), 0644));
  return identity;
}

Result<void> renew_member(const std::string& folder, const std::string& name, const std::string& keys, int64_t now_ms) {
  VERGE_ASSIGN(members, members_of(folder));
  const auto member = std::ranges::find(members, name, &Member::name);
  if (member == members.end()) return fail(Code::NotFound, "{} is no member of the cluster in {}: `verge cluster join` makes one", name, folder);
  std::error_code ec;
  fs::create_directories(keys, ec);
  if (ec) return fail(Code::Io, "cannot make {}: {}", keys, ec.message());
  const Identity identity{keys, *member};
  if (fs::exists(keys + "/cluster.json", ec)) {
    VERGE_ASSIGN(there, read_object(keys + "/cluster.json"));
    if (member_of(there).name != name) return fail(Code::InvalidInput, "{} holds the keys of {}, not of {}", keys, member_of(there).name, name);
  }
  VERGE_TRY(renew_certificate(folder, name, {certificate_name(name)}, identity.certificate(), identity.key(), now_ms));
  fs::copy_file(folder + "/ca.crt", identity.ca(), fs::copy_options::overwrite_existing, ec);
  if (ec) return fail(Code::Io, "cannot write {}: {}", identity.ca(), ec.message());
  return {};
}

Result<void> renew_nats(const std::string& folder, int64_t now_ms) {
  const std::string certificate = folder + "/nats/server.crt";
  VERGE_ASSIGN(facts, read_certificate(certificate));
  return renew_certificate(folder, facts.common_name, facts.names, certificate, folder + "/nats/server.key", now_ms);
}

Result<Identity> read_identity(const std::string& keys) {
  auto object_read = read_object(keys + "/cluster.json");
  if (!object_read) {
    std::error_code ec;
    const std::string why = object_read.error().message;
    if (!fs::exists(keys, ec)) return fail(Code::Io, "--cluster-keys {}: there is no such folder; `verge cluster join` makes it, where the authority is", keys);
    return fail(object_read.error().code, "{}: --cluster-keys wants the whole folder that `verge cluster join` made, for this program's user to read", why);
  }
  const json::object object = std::move(*object_read);
  Identity identity{keys, member_of(object)};
  if (!valid_name(identity.member.name) || !valid_name(identity.member.region)) return fail(Code::InvalidInput, "{}/cluster.json is damaged", keys);
  for (const std::string& file : {identity.ca(), identity.certificate(), identity.key(), identity.nkey()}) {
    std::error_code ec;
    if (!fs::exists(file, ec)) return fail(Code::Io, "{} is missing: copy the whole folder that `verge cluster join` made", file);
  }
  return identity;
}

}  // namespace verge::cluster
