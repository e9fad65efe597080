// `verge place`: where a cluster's models should be.
#include "commands/place.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "commands/remote.h"
#include "http/message.h"

namespace verge::commands {
namespace {

std::string joined(const json::object& wish, const char* key) {
  std::string out;
  if (const json::array* list = get_array(wish, key))
    for (const json::value& one : *list)
      if (const json::string* text = one.if_string()) out += (out.empty() ? "" : ",") + std::string(*text);
  return out.empty() ? "any" : out;
}

void print_table(const json::array& wishes) {
  std::printf("%-44s %5s %5s  %-20s %-20s %s\n", "MODEL", "MIN", "MAX", "REGIONS", "PINNED TO", "HAVE");
  for (const json::value& value : wishes) {
    const json::object* wish = value.if_object();
    if (!wish) continue;
    const auto most = get_int(*wish, "max").value_or(0);
    const std::string pins = joined(*wish, "pins");
    const json::array* have = get_array(*wish, "have");
    const std::string held = have && !have->empty() ? fmt::format("{} ({})", have->size(), joined(*wish, "have")) : "0", coming = joined(*wish, "loading");
    std::printf("%-44s %5lld %5s  %-20s %-20s %s%s\n", get_string(*wish, "model").value_or("").c_str(), static_cast<long long>(get_int(*wish, "min").value_or(0)),
                most ? std::to_string(most).c_str() : "-", joined(*wish, "regions").c_str(), pins == "any" ? "-" : pins.c_str(), held.c_str(),
                coming == "any" ? "" : (", loading: " + coming).c_str());
  }
}

}  // namespace

int place(int argc, char** argv) {
  CLI::App app("Say where a model should be loaded in a cluster, and keep what is not said anew; without a model, list what is wished and what there is", argv[0]);
  std::string server = default_server(), model;
  int min = 0, max = 0;
  bool forget = false, as_json = false;
  std::vector<std::string> pins, regions;
  auto* of = app.add_option("model", model, "Id of the model");
  CLI::Option* wishes_of[] = {
      app.add_option("--min", min, "Nodes that hold it, at least")->check(CLI::NonNegativeNumber),
      app.add_option("--max", max, "Nodes that hold it, at most (0 = any number)")->check(CLI::NonNegativeNumber),
      app.add_option("--pin", pins, "Node that holds it always (repeatable; any: none in particular)"),
      app.add_option("--region", regions, "Region that it may be in (repeatable; any: all)"),
  };
  auto* forgets = app.add_flag("--forget", forget, "Take back what was said of the model")->needs(of);
  for (CLI::Option* wished : wishes_of) wished->needs(of)->excludes(forgets);
  app.add_option("--server", server, "Address of a gateway ($VERGE_SERVER)")->capture_default_str();
  app.add_flag("--json", as_json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  const char* variable = std::getenv("VERGE_TOKEN");
  const std::string token = variable ? variable : "", path = "/verge/v1/placement";
  if (!model.empty()) {
    if (!forget && std::ranges::none_of(wishes_of, [](const CLI::Option* one) { return one->count() > 0; })) {
      std::fprintf(stderr, "verge place: say what is wanted of %s: --min, --max, --pin, --region, or --forget\n", model.c_str());
      return 2;
    }
    json::object wish;
    if (!forget) {
      // What is not said anew stays as it is.
      auto before = get_json(server, path, token);
      if (!before) {
        std::fprintf(stderr, "verge place: %s\n", before.error().message.c_str());
        return 1;
      }
      if (const json::array* list = before->if_array())
        for (const json::value& value : *list)
          if (const json::object* one = value.if_object(); one && get_string(*one, "model") == model)
            for (const char* field : {"min", "max", "pins", "regions"})
              if (const json::value* kept = one->if_contains(field)) wish[field] = *kept;
      const auto names = [](std::vector<std::string> list) {
        std::erase(list, "any");
        return json::array(list.begin(), list.end());
      };
      if (wishes_of[0]->count()) wish["min"] = min;
      if (wishes_of[1]->count()) wish["max"] = max;
      if (wishes_of[2]->count()) wish["pins"] = names(pins);
      if (wishes_of[3]->count()) wish["regions"] = names(regions);
    }
    auto done = put_json(server, path + "/" + http::percent_encode(model, "/@"), wish, token);
    if (done) return 0;
    std::fprintf(stderr, "verge place: %s\n", done.error().message.c_str());
    return 1;
  }
  auto wishes = get_json(server, path, token);
  if (!wishes) {
    std::fprintf(stderr, "verge place: %s\n", wishes.error().message.c_str());
    return 1;
  }
  if (as_json) std::printf("%s\n", json::serialize(*wishes).c_str());
  else if (const json::array* list = wishes->if_array()) print_table(*list);
  return 0;
}

}  // namespace verge::commands
