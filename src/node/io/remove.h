// Takes a pulled model off this machine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "catalogue/entry.h"
#include "support/error.h"

namespace verge::node {

struct RemoveOptions {
  std::string models_folder;
  bool force =
      false;  // though a process has it loaded: requests under way end, later ones are refused
  std::function<void(const std::string&)> note = [](const std::string&) {};
};

// Bytes that were freed, of an unfinished pull too. NoSuchModel: it is not in the folder (says
// where it is, if it is elsewhere); Busy: a process on this machine has it loaded; Io.
Result<uint64_t> remove_model(const catalogue::Entry& entry, const RemoveOptions& options);

// Bytes of a file, or of all files under a folder; 0 where there is none.
uint64_t bytes_at(const std::string& path);

}  // namespace verge::node
