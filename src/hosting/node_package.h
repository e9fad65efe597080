// The npm package in workers/, which runs Workers on workerd: where it is, and the Node that runs it.
#pragma once

#include <string>
#include <vector>

#include "support/error.h"

namespace verge::hosting {

struct NodePackage {
  std::string script;  // bin/verge-workers.mjs
  std::string modules;  // folder whose node_modules has wrangler; $VERGE_NPM of the script
  std::string node;    // program
};

// Fetches the package's dependencies from npm where they are not on this machine yet (says so on stderr).
// Errors: Io, which says what to install.
Result<NodePackage> node_package();

// What the package's program prints on its standard output; Io where it fails. Waits for it.
Result<std::string> run_package(const NodePackage& package, const std::vector<std::string>& arguments);

// Path of this program.
std::string own_path();

}  // namespace verge::hosting
