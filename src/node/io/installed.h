// Which models are on this machine's disk, and whether their files are still the same. Names, sizes and times are asked for;
// nothing is read. All but sought_models() asks the file system: never on the io thread.
#pragma once

#include <string>
#include <vector>

#include "catalogue/catalogue.h"
#include "node/resolve.h"

namespace verge::node {

// Default of the models' folder: $VERGE_MODELS, $XDG_CACHE_HOME/verge/models, ~/.cache/verge/models.
std::string default_models_folder();

// Path of an installed entry, empty where it is not on this machine. A folder with one GGUF file is that file.
std::string installed_path(const catalogue::Entry& entry, const std::string& models_folder);

// What there is to look for, apart from the catalogue, which may change meanwhile.
struct Sought {
  std::string id;
  std::string given;               // by --model; empty: the models' folder, then `places`
  std::vector<std::string> places;
};
std::vector<Sought> sought_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options);

// Those that are here.
Installations look_for(const std::vector<Sought>& models, const std::string& models_folder);

// All that would change with what look_for() finds, outermost first: folders and files, there or not.
std::vector<std::string> places_of(const std::vector<Sought>& models, const std::string& models_folder);

// The files at `path` as they are now; without a stamp where there are none.
Installed look_at(const std::string& path);

}  // namespace verge::node
