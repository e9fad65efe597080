#include "worker/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <string>

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
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(fcntl), SCMP_SYS(ioctl), SCMP_SYS(dup),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(pipe2),
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
  allow_if(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow_if(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
  // abort() and thread signals, to this process alone.
  allow_if(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()), 0));
  return rc;
}

// Private writable memory of this process, bytes.
uint64_t data_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    uint64_t kib = 0;
    if (key == "VmData:" && status >> kib) return kib * 1024;
    status.ignore(1 << 16, '\n');
  }
  return 0;
}

}  // namespace

bool sandbox_supported() {
#ifdef VERGE_SANITIZED
  return false;
#else
  return true;
#endif
}

Result<void> enter_sandbox(uint64_t extra_bytes) {
  tzset();  // log lines show local time; the zone's file cannot be read later
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return fail(Code::Io, "setrlimit(RLIMIT_CORE): {}", std::strerror(errno));
  if (const uint64_t now = data_bytes(); now > 0 && extra_bytes > 0) {
    const rlimit data{now + extra_bytes, now + extra_bytes};
    if (setrlimit(RLIMIT_DATA, &data) != 0) return fail(Code::Io, "setrlimit(RLIMIT_DATA): {}", std::strerror(errno));
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(Code::Io, "no_new_privs: {}", std::strerror(errno));

  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return fail(Code::Io, "seccomp: no filter could be made");
  int rc = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);  // the backend's threads too
  if (rc == 0) rc = add_rules(filter.get());
  if (rc == 0) rc = seccomp_load(filter.get());
  if (rc != 0) return fail(Code::Io, "seccomp: {}", std::strerror(-rc));
  return {};
}

}  // namespace verge::worker
