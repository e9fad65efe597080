// What the process of a model may still do once its files are open: read those, compute, and talk on the descriptors that it
// has. It enters before the first byte of a file is read; a hostile one that got control finds no network, no other files, no
// other program, no privileges.
#pragma once

#include <cstdint>

#include "support/error.h"

namespace verge::worker {

// False in builds with a sanitizer, whose run-time needs calls that the filter refuses.
bool sandbox_supported();

// For the whole process, threads that run already included; cannot be undone:
//   no_new_privs, no capabilities (root's too), no core dumps
//   seccomp: only the calls on the list in sandbox.cpp; others fail with EPERM. No open, socket, connect,
//   exec, fork, ptrace; new threads, but no new processes; executable memory only until settle_sandbox()
//   RLIMIT_DATA: at most `memory_bytes` more private memory than now
// Io where the kernel refuses.
Result<void> enter_sandbox(uint64_t memory_bytes);

// Once the model is loaded: no executable memory any more (patterns of tokenizers are compiled by then), and at most
// `extra_bytes` more private memory than now. Io where the kernel refuses.
Result<void> settle_sandbox(uint64_t extra_bytes);

// Memory that a process which loads a model may take, bytes: by the size of its files and, where told (> 0), at most the
// `budget` of all models of the machine; `cache` for keys and values; some more for what a tokenizer or an answer takes.
uint64_t load_memory(uint64_t file_bytes, bool f32_weights, uint64_t cache_bytes, uint64_t budget, int threads);

}  // namespace verge::worker
