#include "worker/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <string_view>
#include <utility>

#include "support/limits.h"
#include "support/model_file_limits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VERGE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define VERGE_SANITIZED 1
#endif
#endif

namespace verge::worker {
namespace {

// Everything that computing, allocating, threads and descriptors need.
constexpr int kAllowed[] = {
    // descriptors that are there already
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(fstat),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(fcntl), SCMP_SYS(dup),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(pipe), SCMP_SYS(pipe2),
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(msync), SCMP_SYS(mincore),
    // threads
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq), SCMP_SYS(membarrier), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity), SCMP_SYS(getcpu),
    // time, chance, signals, the end
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};

int add_rules(scmp_filter_ctx filter) {
  int rc = 0;
  const auto allow = [&](int call) { rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0); };
  const auto allow_if = [&](int call, scmp_arg_cmp condition) { rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, condition); };
  for (int call : kAllowed) allow(call);
  // Threads only. glibc tries clone3 first, whose flags a filter cannot see, and takes clone where it is absent.
  allow_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  // Code comes from no file; that of compiled patterns, in memory of its own, is forbidden by settle_sandbox().
  allow_if(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(mmap), SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
  allow_if(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
  // No TIOCSTI: the log may go to a terminal.
  for (const unsigned long request : {FIONBIO, FIONREAD, TCGETS}) allow_if(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, request, 0));
  // For settle_sandbox(); without capabilities a limit can only be lowered.
  rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A1(SCMP_CMP_EQ, RLIMIT_DATA, 0));
  rc = rc ? rc : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 0);
  // abort() and thread signals, to this process alone.
  allow_if(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()), 0));
  return rc;
}

// /proc/self/status, opened while files can be.
int g_status = -1;

// Private writable memory of this process, bytes; 0 = not known.
uint64_t data_bytes() {
  char text[8192];
  const ssize_t n = g_status < 0 ? 0 : pread(g_status, text, sizeof text, 0);
  const std::string_view status(text, n > 0 ? static_cast<size_t>(n) : 0);
  constexpr std::string_view kKey = "VmData:";
  const size_t at = status.find(kKey);
  if (at == status.npos) return 0;
  uint64_t kib = 0;
  for (const char c : status.substr(at + kKey.size())) {
    if (c >= '0' && c <= '9') kib = kib * 10 + static_cast<uint64_t>(c - '0');
    else if (kib > 0) break;
  }
  return kib * 1024;
}

Result<void> limit_memory(uint64_t more_bytes) {
  const uint64_t now = data_bytes();
  if (now == 0) return fail(Code::Io, "/proc/self/status cannot be read");
  rlimit data{};
  if (getrlimit(RLIMIT_DATA, &data) != 0) return fail(Code::Io, "getrlimit(RLIMIT_DATA): {}", std::strerror(errno));
  data.rlim_cur = data.rlim_max = std::min<rlim_t>(data.rlim_max, now + more_bytes);
  if (setrlimit(RLIMIT_DATA, &data) != 0) return fail(Code::Io, "setrlimit(RLIMIT_DATA): {}", std::strerror(errno));
  return {};
}

// Root's too: it could raise its limits again. glibc has no wrapper.
Result<void> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return fail(Code::Io, "capset: {}", std::strerror(errno));
  return {};
}

}  // namespace

bool sandbox_supported() {
#ifdef VERGE_SANITIZED
  return false;
#else
  return true;
#endif
}

Result<void> enter_sandbox(uint64_t memory_bytes) {
  tzset();  // log lines show local time; the zone's file cannot be read later
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return fail(Code::Io, "setrlimit(RLIMIT_CORE): {}", std::strerror(errno));
  g_status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  VERGE_TRY(limit_memory(memory_bytes));
  VERGE_TRY(drop_capabilities());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(Code::Io, "no_new_privs: {}", std::strerror(errno));

  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return fail(Code::Io, "seccomp: no filter could be made");
  int rc = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);  // the backend's threads too
  if (rc == 0) rc = add_rules(filter.get());
  if (rc == 0) rc = seccomp_load(filter.get());
  if (rc != 0) return fail(Code::Io, "seccomp: {}", std::strerror(-rc));
  return {};
}

Result<void> settle_sandbox(uint64_t extra_bytes) {
  VERGE_TRY(limit_memory(extra_bytes));
  close(std::exchange(g_status, -1));
  // A second filter: what both allow is allowed.
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(Code::Io, "seccomp: no filter could be made");
  int rc = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  rc = rc ? rc : seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);  // it is set
  rc = rc ? rc : seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
  rc = rc ? rc : seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 0);
  rc = rc ? rc : seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0);
  rc = rc ? rc : seccomp_load(filter.get());
  if (rc != 0) return fail(Code::Io, "seccomp: {}", std::strerror(-rc));
  return {};
}

uint64_t load_memory(uint64_t file_bytes, bool f32_weights, uint64_t cache_bytes, uint64_t budget, int threads) {
  const uint64_t factor = f32_weights ? limits::kLoadMemoryFactorF32 : limits::kLoadMemoryFactor;
  uint64_t model = file_bytes > UINT64_MAX / 2 / factor ? UINT64_MAX / 2 : file_bytes * factor + cache_bytes;
  if (budget > 0) model = std::min(model, budget);
  return model + limits::kWorkerExtraBytes + static_cast<uint64_t>(threads) * limits::kThreadBytes;
}

}  // namespace verge::worker
