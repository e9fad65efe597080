// What of a server's options is looked at before anything starts: an option that asks for what
// another one rules out, or for what is not there, is named and not dropped.
#pragma once

#include <string>
#include <vector>

#include "catalogue/catalogue.h"
#include "node/node.h"
#include "server/address.h"
#include "server/options.h"
#include "support/error.h"

namespace verge::server {

// Combinations. Fills in the role, the peers' listener and the name where they follow from others,
// and brings origins into one form. Errors: InvalidInput.
Result<void> check_options(Options& options);

// Puts --model ID=PATH and --stand-in ID=OTHER into the catalogue and into `node`. Ids are free; a
// path must exist, and its files must be of the id's task. Runs a process for files that nobody has
// looked at yet. Errors: InvalidInput, Io, NoSuchModel, and those of node::inspect_model.
Result<void> map_models(const Options& options, catalogue::Catalogue& catalogue,
                        node::NodeOptions& node);

// Forbidden: a listener beyond loopback that anyone could use, or whose tokens all could read.
Result<void> check_exposure(const Options& options, const Address& address, bool tokens);

// Names that a client may know this server by, beside localhost and the address it connects to.
std::vector<std::string> own_hosts(const Options& options, const Address& address);

// Where a browser on this machine reaches what listens on `host`: addresses that mean "all" cannot
// be opened.
std::string host_of_link(const std::string& host);

}  // namespace verge::server
