// What a worker may still do once its model is open: compute, and talk on the descriptors that it has.
// A hostile model file that got control of it finds no network, no files and no other program.
#pragma once

#include <cstdint>

#include "support/error.h"

namespace verge::worker {

// False in builds with a sanitizer, whose run-time needs calls that the filter refuses.
bool sandbox_supported();

// For the whole process, threads that run already included; cannot be undone:
//   no_new_privs, no core dumps
//   seccomp: only the calls on the list in sandbox.cpp; others fail with EPERM. No open, socket, connect,
//   exec, fork, ptrace; new threads, but no new processes; no executable memory.
//   RLIMIT_DATA: at most `extra_bytes` more private memory than now
// Io where the kernel refuses.
Result<void> enter_sandbox(uint64_t extra_bytes);

}  // namespace verge::worker
