// Model id -> what to load. Pure: what is on the disk comes from io/installed.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalogue/catalogue.h"
#include "support/error.h"

namespace verge::node {

// One model's files, as they were when they were looked at.
struct Installed {
  std::string path;    // file or folder
  uint64_t bytes = 0;  // of the weights on disk
  std::string stamp;   // differs once a file was replaced, added or removed; empty = nothing is there

  bool operator==(const Installed&) const = default;
};
using Installations = std::map<std::string, Installed, std::less<>>;  // by the catalogue's id, or that of --model

struct ResolveOptions {
  std::map<std::string, std::string, std::less<>> paths;  // `--model ID=PATH`
  std::string models_folder;                              // where `verge pull` puts models
  // `--stand-in ID=OTHER`: answered by OTHER, of whatever width its vectors are.
  std::map<std::string, std::string, std::less<>> named_stand_ins;
  bool stand_ins = false;                                 // answer for absent weights by the task's stand-in
};

struct Resolved {
  std::string id;            // what really answers
  std::string task;
  Installed files;
  bool substituted = false;
};

// Every id that resolve_model() would answer for now, with what would answer.
std::vector<std::pair<std::string, Resolved>> offered_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options,
                                                             const Installations& installed);

// Errors: NoSuchModel, ModelUnavailable (says how to get it).
Result<Resolved> resolve_model(const catalogue::Catalogue& catalogue, const ResolveOptions& options,
                               const Installations& installed, std::string_view id);

}  // namespace verge::node
