// Model id -> what to load. Reads the disk (is it there?), starts nothing.
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
  std::string path;          // file or folder
  uint64_t bytes = 0;        // of the weights on disk
  bool substituted = false;
};

// Default of models_folder: $VERGE_MODELS, $XDG_CACHE_HOME/verge/models, ~/.cache/verge/models.
std::string default_models_folder();

// Path of an installed entry, empty where it is not on this machine. A folder with one GGUF file is that file.
std::string installed_path(const catalogue::Entry& entry, const std::string& models_folder);

// Every id that resolve_model() would answer for now, with what would answer.
std::vector<std::pair<std::string, Resolved>> offered_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options);

// Errors: NoSuchModel, ModelUnavailable (says how to get it), Io.
Result<Resolved> resolve_model(const catalogue::Catalogue& catalogue, const ResolveOptions& options, std::string_view id);

}  // namespace verge::node
