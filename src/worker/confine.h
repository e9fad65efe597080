// Opens a model's files and shuts everything else off before they are read: for each process that reads one.
#pragma once

#include <cstdint>

#include "support/error.h"
#include "worker/host.h"

namespace verge::worker {

// For the whole process, cannot be undone. Nothing of the model has been read when it returns; from then on the engine's readers
// see its files only (engine/formats/file_access.h), in a sandbox (sandbox.h). `budget_bytes`: memory of all models of the machine,
// 0 = not told. Errors: Io, LoadFailed.
Result<void> confine(const HostOptions& host, uint64_t budget_bytes);

// The same for a command at a terminal: standard output stays as it is buffered.
Result<void> confine_command(const HostOptions& host);

// Once the model is loaded: checks that what was read is of one state of the files, closes them, and takes back what only loading
// needed. Busy where a file was changed meanwhile.
Result<void> settle();

}  // namespace verge::worker
