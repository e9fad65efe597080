#include "worker/confine.h"

#include <unistd.h>

#include <cstdio>
#include <thread>

#include "engine/formats/file_access.h"
#include "support/limits.h"
#include "worker/sandbox.h"

namespace verge::worker {

Result<void> confine(const HostOptions& host, uint64_t budget_bytes) {
  VERGE_ASSIGN(files, engine::ModelFiles::open(host.path));
  (void)available_memory();  // it is remembered
  const int threads = host.threads > 0 ? host.threads : static_cast<int>(std::thread::hardware_concurrency());
  const uint64_t memory = load_memory(files.bytes(), host.precision == engine::Precision::F32, host.kv_bytes, budget_bytes, threads);
  engine::see_only(std::move(files));
  if (!sandbox_supported()) return {};
  return enter_sandbox(memory);
}

Result<void> confine_command(const HostOptions& host) {
  // The library asks the file system how to buffer when the first byte is written.
  std::setvbuf(stdout, nullptr, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
  return confine(host, 0);
}

Result<void> settle() {
  VERGE_TRY(engine::unchanged());
  engine::forget_files();
  if (!sandbox_supported()) return {};
  return settle_sandbox(limits::kWorkerExtraBytes);
}

}  // namespace verge::worker
