// `verge convert KIND [MEDIA-TYPE] < DOCUMENT > MARKDOWN`, which the server starts for each file of env.AI.toMarkdown(): limits first,
// then the document. A PDF's text is poppler's work, in this same process.
// `verge convert FAMILY FOLDER`, which a pull starts: a package's files to a model's, which go to stdout (node/io/convert.h).
#include "commands/convert.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>

#include "convert/convert.h"
#include "engine/formats/file_access.h"
#include "engine/models/hibari/convert.h"
#include "node/io/convert.h"
#include "support/limits.h"

namespace verge::commands {
namespace {

constexpr int kNotInstalled = 69;  // EX_UNAVAILABLE; converter.cpp tells it apart

void limit(int what, rlim_t value) {
  const rlimit both{value, value};
  setrlimit(static_cast<__rlimit_resource>(what), &both);
}

// Root's too. A program that is executed later gets none back: there are no new privileges. glibc has no wrapper.
bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

// No network, no new processes, no capabilities, nothing written but what stdout takes. Poppler has to be executed after
// this and opens its libraries and fonts, so that the worker's closed list of calls is too short here; other kinds open nothing.
bool confine(bool executes) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CPU, limits::kConvertSeconds);
  limit(RLIMIT_AS, limits::kConvertMemoryBytes);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !drop_capabilities()) return false;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) return false;
  int rc = 0;
  for (int call : {SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(kill),
                   SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(truncate),
                   SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(mount), SCMP_SYS(process_vm_readv),
                   SCMP_SYS(process_vm_writev), SCMP_SYS(creat), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(rmdir), SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchownat),
                   SCMP_SYS(utimensat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(pidfd_getfd), SCMP_SYS(unshare), SCMP_SYS(setns),
                   SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(execveat)})
    rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  // Calls whose arguments a filter cannot see; libraries take the older ones where these are absent.
  for (int call : {SCMP_SYS(clone3), SCMP_SYS(openat2), SCMP_SYS(io_uring_setup)}) rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
  rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  if (executes) {
    // Files are opened to be read, and are there: O_CREAT and O_TRUNC change files that are opened to be read, too.
    constexpr std::pair<int, int> kWriting[] = {{O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_CREAT, O_CREAT}, {O_TRUNC, O_TRUNC}};
    for (const auto& [mask, value] : kWriting) {
      const auto bits = static_cast<scmp_datum_t>(mask), wanted = static_cast<scmp_datum_t>(value);
      rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, bits, wanted));
      rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, bits, wanted));
    }
  } else {
    for (int call : {SCMP_SYS(execve), SCMP_SYS(open), SCMP_SYS(openat)}) rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  rc = rc ? rc : seccomp_load(filter);
  seccomp_release(filter);
  return rc == 0;
}

std::string read_all() {
  std::string all;
  char buffer[64 << 10];
  for (ssize_t n; (n = read(STDIN_FILENO, buffer, sizeof buffer)) != 0;) {
    if (n > 0) all.append(buffer, static_cast<size_t>(n));
    else if (errno != EINTR) break;
  }
  return all;
}

constexpr uint64_t kPackageFileBytes = 256 << 20;

// The files are read before the limits are set, and looked into behind them.
int convert_model(const std::string& folder) {
  engine::NamedFiles package;
  for (const std::string_view name : engine::hibari_package_files()) {
    auto bytes = engine::read_file(std::filesystem::path(folder) / name, kPackageFileBytes);
    if (!bytes) return std::fprintf(stderr, "%s\n", bytes.error().message.c_str()), 1;
    package.emplace(name, std::move(*bytes));
  }
  if (!confine(false)) return std::fprintf(stderr, "the sandbox could not be set up: %s\n", std::strerror(errno)), 1;
  const auto files = [&]() -> Result<engine::NamedFiles> {
    try {
      return engine::convert_hibari(package);
    } catch (const std::exception&) {  // no memory
      return fail(Code::LoadFailed, "the model takes more than {} MiB of memory to convert", limits::kConvertMemoryBytes >> 20);
    }
  }();
  if (!files) return std::fprintf(stderr, "%s\n", files.error().message.c_str()), 1;
  for (const auto& [name, bytes] : *files) {
    const std::string head = node::converted_head(name, bytes.size());
    std::fwrite(head.data(), 1, head.size(), stdout);
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

int convert(int argc, char** argv) {
  const std::string kind = argc == 2 || argc == 3 ? argv[1] : "", media_type = argc == 3 ? argv[2] : "";
  if (kind.empty()) return std::fprintf(stderr, "usage: verge convert html|csv|json|xml|text|pdf [MEDIA-TYPE] < DOCUMENT\n"), 2;
  if (kind == "hibari") return convert_model(media_type);
  if (!confine(kind == "pdf")) return std::fprintf(stderr, "the sandbox could not be set up: %s\n", std::strerror(errno)), 1;
  if (kind == "pdf") {
    execlp("pdftotext", "pdftotext", "-q", "-enc", "UTF-8", "-layout", "-", "-", nullptr);
    return std::fprintf(stderr, "pdftotext is not installed (on Debian: apt install poppler-utils)\n"), kNotInstalled;
  }
  const auto markdown = [&]() -> Result<std::string> {
    try {
      return convert::to_markdown(kind, media_type, read_all());
    } catch (const std::exception&) {  // no memory
      return fail(Code::InvalidInput, "the document takes more than {} MiB of memory to convert", limits::kConvertMemoryBytes >> 20);
    }
  }();
  if (!markdown) return std::fprintf(stderr, "%s\n", markdown.error().message.c_str()), 1;
  std::fwrite(markdown->data(), 1, markdown->size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace verge::commands
