#include "cluster/identity_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "cluster/certificate.h"
#include "cluster/nkey.h"

namespace verge::cluster {
namespace {

Result<std::string> read_key_file(const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0) {
    const int error = errno;
    struct stat info {};
    if (error == EACCES && ::stat(path.c_str(), &info) == 0)
      return fail(Code::Io, "cannot read {}: it is for user {} only (mode {:o}), and this program runs as user {}: give it the file (chown)", path, info.st_uid,
                  info.st_mode & 0777, ::geteuid());
    if (error == EACCES) return fail(Code::Io, "cannot read {}: this program, user {}, may not look into its folder", path, ::geteuid());
    if (error == ENOENT) return fail(Code::Io, "{} is missing: copy the whole folder that `verge cluster join` made", path);
    return fail(Code::Io, "cannot read {}: {}", path, std::strerror(error));
  }
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.empty()) return fail(Code::InvalidInput, "{} is empty: copy it once more from where `verge cluster join` made it", path);
  return text;
}

std::string role_words(const std::string& role) { return role == "gateway" ? "a gateway" : role == "node" ? "a node" : "a gateway and node"; }

}  // namespace

std::string time_text(int64_t unix_s) {
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

Result<void> check_identity(const Identity& identity, const std::string& role, int64_t now_ms) {
  const Member& member = identity.member;
  for (const std::string& file : {identity.ca(), identity.certificate(), identity.key(), identity.nkey()}) VERGE_TRY(read_key_file(file));
  if (member.role != "gateway" && member.role != "node" && member.role != "both")
    return fail(Code::InvalidInput, "{}/cluster.json is damaged: its role is '{:.32}'", identity.folder, member.role);
  if (member.role != "both" && member.role != role)
    return fail(Code::InvalidInput,
                "--role {}: the keys in {} are those of {} ({}), whom the cluster lets do no more than that. Start it with --role {}, or make other keys with "
                "`verge cluster join … --role {}`",
                role, identity.folder, role_words(member.role), member.name, member.role, role);
  VERGE_ASSIGN(seed, read_key_file(identity.nkey()));
  auto key = nkey_of_seed(seed);
  if (!key) return fail(Code::InvalidInput, "{}: {}: copy it once more from where `verge cluster join` made it", identity.nkey(), key.error().message);
  if (key->public_key != member.public_key)
    return fail(Code::InvalidInput, "{} is not the key of {}: the files in {} are of different members, copy one whole folder", identity.nkey(), member.name, identity.folder);
  VERGE_ASSIGN(facts, read_certificate(identity.certificate()));
  if (facts.common_name != member.name)
    return fail(Code::InvalidInput, "{} is the certificate of {}, not of {}: the files in {} are of different members, copy one whole folder", identity.certificate(),
                facts.common_name, member.name, identity.folder);
  VERGE_TRY(check_pair(identity.ca(), identity.certificate(), identity.key()));
  VERGE_ASSIGN(authority, read_certificate(identity.ca()));
  for (const auto& [path, one] : {std::pair{identity.certificate(), facts}, {identity.ca(), authority}}) {
    if (now_ms / 1000 < one.not_before_s)
      return fail(Code::InvalidInput, "{} is not valid before {}, and this machine's clock says {}: set the clock (NTP)", path, time_text(one.not_before_s), time_text(now_ms / 1000));
    if (now_ms / 1000 > one.not_after_s)
      return fail(Code::InvalidInput, "{} expired on {} (this machine's clock says {}): {}", path, time_text(one.not_after_s), time_text(now_ms / 1000),
                  path == identity.ca() ? "the cluster needs a new authority, `verge cluster init`"
                                        : fmt::format("make a new one with `verge cluster renew FOLDER --name {}` and copy it here", member.name));
  }
  return {};
}

}  // namespace verge::cluster
