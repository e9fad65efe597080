#include "commands/nodes.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "commands/remote.h"

namespace verge::commands {
namespace {

void print_table(const json::array& nodes) {
  std::printf("%-20s %-12s %-12s %9s %10s %7s %7s  %s\n", "NODE", "REGION", "STATE", "RTT", "FREE", "QUEUE", "RUNNING", "MODELS");
  for (const json::value& value : nodes) {
    const json::object* node = value.if_object();
    if (!node) continue;
    int64_t queued = 0, running = 0;
    std::string models;
    const json::array* list = get_array(*node, "models");
    for (size_t i = 0; list && i < list->size(); ++i) {
      const json::object* model = (*list)[i].if_object();
      if (!model) continue;
      queued += get_int(*model, "queued").value_or(0);
      running += get_int(*model, "running").value_or(0);
      const std::string state = get_string(*model, "state").value_or("");
      if (state != "ready" && state != "suspect") continue;
      models += (models.empty() ? "" : " ") + get_string(*model, "id").value_or("") + (state == "suspect" ? " (suspect)" : "");
    }
    const double rtt = get_number(*node, "rtt_ms").value_or(-1);
    std::printf("%-20s %-12s %-12s %9s %6lld MiB %7lld %7lld  %s\n", get_string(*node, "name").value_or("").c_str(), get_string(*node, "region").value_or("").c_str(),
                get_string(*node, "state").value_or("").c_str(), rtt < 0 ? "-" : fmt::format("{:.1f} ms", rtt).c_str(),
                static_cast<long long>(get_int(*node, "memory_free_bytes").value_or(0) >> 20), static_cast<long long>(queued), static_cast<long long>(running),
                models.empty() ? "-" : models.c_str());
  }
}

}  // namespace

int nodes(int argc, char** argv) {
  CLI::App app("List the nodes of a cluster, as a gateway sees them", argv[0]);
  std::string server = default_server();
  bool as_json = false;
  app.add_option("--server", server, "Address of the gateway ($VERGE_SERVER)")->capture_default_str();
  app.add_flag("--json", as_json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  const char* token = std::getenv("VERGE_TOKEN");
  auto list = get_json(server, "/verge/v1/nodes", token ? token : "");
  if (!list) {
    std::fprintf(stderr, "verge nodes: %s\n", list.error().message.c_str());
    return 1;
  }
  if (as_json) std::printf("%s\n", json::serialize(*list).c_str());
  else if (const json::array* nodes = list->if_array()) print_table(*nodes);
  return 0;
}

}  // namespace verge::commands
