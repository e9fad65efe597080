#include "commands/rm.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "catalogue/catalogue.h"
#include "commands/hub_entry.h"
#include "commands/sizes.h"
#include "node/io/remove.h"
#include "node/io/installed.h"
#include "support/json.h"

namespace verge::commands {
namespace {

Result<uint64_t> remove_one(const catalogue::Catalogue& catalogue, const std::string& id,
                            const node::RemoveOptions& options) {
  VERGE_ASSIGN(own, hub_entry(id));
  const catalogue::Entry* entry = own ? &*own : catalogue.find(id);
  if (!entry)
    return fail(Code::NoSuchModel,
                "no model {} in the catalogue. 'verge models --installed' lists what is here", id);
  return node::remove_model(*entry, options);
}

}  // namespace

int rm(int argc, char** argv) {
  CLI::App app("Remove pulled models from this machine.", argv[0]);
  node::RemoveOptions options;
  options.models_folder = node::default_models_folder();
  options.note = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
  std::vector<std::string> ids;
  bool as_objects = false;
  app.add_option("id", ids, "Model ids, or hub:ORGANISATION/REPOSITORY")->required();
  app.add_option("--models", options.models_folder, "Folder of models ($VERGE_MODELS)")
      ->capture_default_str();
  app.add_flag(
      "--force", options.force,
      "Though a server has the model loaded: requests under way end, later ones are refused");
  app.add_flag("--json", as_objects, "Print one JSON object a model");
  app.footer(
      "Exit status: 0 all are gone, 1 one could not be removed, 2 there is no such model here.");
  CLI11_PARSE(app, argc, argv);

  auto catalogue = catalogue::Catalogue::load(catalogue::Catalogue::user_folders());
  if (!catalogue) {
    std::fprintf(stderr, "verge rm: %s\n", catalogue.error().message.c_str());
    return 1;
  }
  int status = 0;
  for (const std::string& id : ids) {
    auto freed = remove_one(*catalogue, id, options);
    if (!freed) {
      status = std::max(status, freed.error().code == Code::NoSuchModel ? 2 : 1);
      std::fprintf(stderr, "verge rm: %s\n", freed.error().message.c_str());
      continue;
    }
    if (as_objects)
      std::printf("%s\n", json::serialize(json::object{{"model", id}, {"bytes", *freed}}).c_str());
    else std::printf("%s removed, %s freed\n", id.c_str(), size_text(*freed).c_str());
  }
  return status;
}

}  // namespace verge::commands
