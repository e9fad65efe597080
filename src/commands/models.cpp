#include "commands/models.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "catalogue/catalogue.h"
#include "commands/sizes.h"
#include "node/download_size.h"
#include "node/io/pull.h"
#include "node/io/remove.h"
#include "node/io/installed.h"
#include "support/json.h"

namespace verge::commands {
namespace {

struct Row {
  const catalogue::Entry* entry;
  std::string path;    // where it is; empty = not on this machine
  std::string state;   // "installed", "partial", "available", "no source"
  uint64_t bytes = 0;  // on disk, else what a pull would bring (0 = not known)
  bool exact = true;   // else computed from the number of parameters
};

Row row_of(const catalogue::Entry& entry, const std::string& folder) {
  Row row{&entry, node::installed_path(entry, folder), "available", 0, true};
  const std::string own = folder + "/" + entry.id;
  std::error_code ec;
  if (!row.path.empty()) {
    row.state = "installed";
    row.bytes = node::bytes_at(std::filesystem::is_directory(own, ec) ? own : row.path);
    return row;
  }
  if (std::filesystem::is_directory(own, ec) && node::bytes_at(own) > 0) row.state = "partial";
  if (entry.sources.empty()) row.state = "no source";
  const node::Download download = node::download_of(entry);
  row.bytes = download.bytes;
  row.exact = download.exact;
  return row;
}

json::object as_json(const Row& row) {
  json::array sources;
  for (const catalogue::Source& source : row.entry->sources) sources.emplace_back(node::describe(source));
  json::object out{{"id", row.entry->id},       {"task", row.entry->task},         {"state", row.state}, {"path", nullptr},
                   {"bytes", nullptr}, {"bytes_about", nullptr}, {"parameters", nullptr},           {"context_tokens", row.entry->context_tokens},
                   {"licence", row.entry->licence}, {"stand_in", row.entry->stand_in}, {"sources", std::move(sources)}};
  if (!row.path.empty()) out["path"] = row.path;
  if (row.bytes > 0) out[row.exact ? "bytes" : "bytes_about"] = row.bytes;
  if (row.entry->parameters > 0) out["parameters"] = row.entry->parameters;
  return out;
}

std::string size_of(const Row& row) {
  return row.bytes == 0 ? "-" : (row.exact ? "" : "~") + size_text(row.bytes);
}

std::string parameters_text(int64_t n) {
  if (n <= 0) return "-";
  double p = static_cast<double>(n);
  return p < 1e9 ? fmt::format("{:.0f}M", p / 1e6) : fmt::format("{:.1f}B", p / 1e9);
}

}  // namespace

int models(int argc, char** argv) {
  CLI::App app("List the models of the catalogue and where those on this machine are.", argv[0]);
  std::string folder = node::default_models_folder(), filter;
  bool as_objects = false, installed = false;
  app.add_option("text", filter, "Only ids that contain this");
  app.add_flag("--installed", installed, "Only those on this machine");
  app.add_option("--models", folder, "Folder of models ($VERGE_MODELS)")->capture_default_str();
  app.add_flag("--json", as_objects, "Print a JSON array");
  CLI11_PARSE(app, argc, argv);

  auto catalogue = catalogue::Catalogue::load(catalogue::Catalogue::user_folders());
  if (!catalogue) {
    std::fprintf(stderr, "verge models: %s\n", catalogue.error().message.c_str());
    return 1;
  }
  std::vector<Row> rows;
  for (const catalogue::Entry* entry : catalogue->all()) {
    if (entry->id.find(filter) == std::string::npos) continue;
    Row row = row_of(*entry, folder);
    if (!installed || row.state == "installed") rows.push_back(std::move(row));
  }
  // What can be used now comes first.
  std::stable_partition(rows.begin(), rows.end(), [](const Row& row) { return row.state == "installed"; });
  if (as_objects) {
    json::array out;
    for (const Row& row : rows) out.push_back(as_json(row));
    std::printf("%s\n", json::serialize(out).c_str());
    return 0;
  }
  size_t width = 2;
  for (const Row& row : rows) width = std::max(width, row.entry->id.size());
  std::printf("%-*s  %-16s %6s %10s  %-9s  %-12s  %s\n", static_cast<int>(width), "ID", "TASK", "PARAMS", "SIZE", "STATE", "LICENCE", "WHERE");
  for (const Row& row : rows) {
    std::printf("%-*s  %-16s %6s %10s  %-9s  %-12s  %s\n", static_cast<int>(width), row.entry->id.c_str(), row.entry->task.c_str(),
                parameters_text(row.entry->parameters).c_str(), size_of(row).c_str(), row.state.c_str(), row.entry->licence.c_str(), row.path.c_str());
  }
  return 0;
}

}  // namespace verge::commands
