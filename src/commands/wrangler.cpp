// `verge wrangler PROJECT -- …`: wrangler's commands on a project's local state (D1 migrations,
// keys of KV, objects of R2), with the Node and the wrangler that run it: the state of `verge dev`,
// or with --hosted that of `verge serve --worker`.
#include "commands/wrangler.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "server/data_folder.h"
#include "commands/family.h"
#include "hosting/node_package.h"

namespace verge::commands {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string project, persist, data = server::default_data_folder();
  bool hosted = false;
  std::vector<std::string> rest;
};

Result<int> run(const Options& options) {
  VERGE_ASSIGN(package, hosting::node_package());
  std::vector<std::string> argv{package.node, package.script, "wrangler", options.project};
  if (!options.persist.empty()) argv.insert(argv.end(), {"--persist-to", options.persist});
  if (options.hosted) {
    std::error_code ec;
    const fs::path folder = fs::canonical(options.project, ec);
    if (ec) return fail(Code::Io, "no such folder: {}", options.project);
    // As hosting.cpp has it.
    argv.insert(argv.end(),
                {"--hosted", "--persist-to",
                 (fs::absolute(options.data) / "workers" / folder.filename()).string()});
  }
  argv.emplace_back("--");
  argv.insert(argv.end(), options.rest.begin(), options.rest.end());
  Family family;
  VERGE_ASSIGN(child, family.start(argv, {"VERGE_NPM=" + package.modules}));
  return family.wait(child);
}

}  // namespace

int wrangler(int argc, char** argv) {
  CLI::App app(
      "Run a command of wrangler on a project's local state, as in: verge wrangler shop -- d1 "
      "migrations apply DB",
      argv[0]);
  Options options;
  app.add_option("project", options.project,
                 "Folder with wrangler.toml, wrangler.json or wrangler.jsonc")
      ->required();
  auto* hosted = app.add_flag("--hosted", options.hosted,
                              "The state of `verge serve --worker`, else that of `verge dev`");
  app.add_option("--data", options.data, "With --hosted: data folder of the server")
      ->capture_default_str()
      ->needs(hosted);
  app.add_option("--persist-to", options.persist, "Folder that `verge dev --persist-to` was given")
      ->excludes(hosted);
  app.add_option("rest", options.rest, "wrangler's command and its options, after --")->required();
  CLI11_PARSE(app, argc, argv);
  auto done = run(options);
  if (done) return *done;
  std::fprintf(stderr, "verge wrangler: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace verge::commands
