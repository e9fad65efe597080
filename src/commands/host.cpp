// `verge host DIR`, which `verge serve --worker` starts: the Node program of a hosted Worker, with a parent that lets none
// of its processes stay. File descriptor 3 carries what it reports, its standard input what it is told.
#include "commands/host.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "commands/family.h"
#include "hosting/node_package.h"

namespace verge::commands {

int host(int argc, char** argv) {
  CLI::App app("Run one hosted Worker", argv[0]);
  std::string folder, persist, registry, queues, environment, secrets, image_result;
  bool successor = false;
  app.add_option("folder", folder)->required();
  app.add_option("--persist-to", persist)->required();
  app.add_option("--registry", registry)->required();
  app.add_option("--queues", queues)->required();
  app.add_option("--env", environment);
  app.add_option("--secrets", secrets);
  app.add_flag("--successor", successor);
  app.add_option("--image-result", image_result);
  CLI11_PARSE(app, argc, argv);
  auto package = hosting::node_package();
  if (!package) {
    std::fprintf(stderr, "verge host: %s\n", package.error().message.c_str());
    return 1;
  }
  Family family(false);  // whoever tells all of Verge to reload means the server
  std::vector<std::string> words{package->node, package->script, "host", folder, "--persist-to", persist, "--registry", registry, "--queues", queues};
  if (successor) words.emplace_back("--successor");
  if (!environment.empty()) words.insert(words.end(), {"--env", environment});
  if (!secrets.empty()) words.insert(words.end(), {"--secrets", secrets});
  if (!image_result.empty()) words.insert(words.end(), {"--image-result", image_result});
  auto child = family.start(words, {"VERGE_NPM=" + package->modules});
  if (!child) {
    std::fprintf(stderr, "verge host: %s\n", child.error().message.c_str());
    return 1;
  }
  return family.wait(*child);
}

}  // namespace verge::commands
