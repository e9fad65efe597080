#include "commands/ps.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "commands/remote.h"

namespace verge::commands {
namespace {

void print_table(const json::object& status) {
  std::printf("%-44s %-12s %-11s %9s %9s %8s %8s\n", "MODEL", "STATE", "ARCH", "WEIGHTS", "KV", "RUNNING", "WAITING");
  const json::array* models = get_array(status, "models");
  if (!models) return;
  for (const json::value& value : *models) {
    const json::object* model = value.if_object();
    if (!model) continue;
    auto mebibytes = [&](const char* key) { return std::to_string(get_int(*model, key).value_or(0) >> 20) + " MiB"; };
    std::printf("%-44s %-12s %-11s %9s %9s %8lld %8lld\n", get_string(*model, "id").value_or("").c_str(), get_string(*model, "state").value_or("").c_str(),
                get_string(*model, "architecture").value_or("-").c_str(), mebibytes("weight_bytes").c_str(), mebibytes("kv_bytes").c_str(),
                static_cast<long long>(get_int(*model, "in_flight").value_or(0)), static_cast<long long>(get_int(*model, "waiting").value_or(0)));
  }
}

// Models of all nodes, as the gateway last heard of them.
void print_cluster(const json::array& nodes) {
  std::printf("%-44s %-20s %-12s %-10s %8s %8s\n", "MODEL", "NODE", "REGION", "STATE", "RUNNING", "WAITING");
  for (const json::value& value : nodes) {
    const json::object* node = value.if_object();
    const json::array* models = node ? get_array(*node, "models") : nullptr;
    if (!models) continue;
    for (const json::value& one : *models) {
      const json::object* model = one.if_object();
      const std::string state = model ? get_string(*model, "state").value_or("") : "";
      if (state != "ready" && state != "loading" && state != "suspect") continue;
      std::printf("%-44s %-20s %-12s %-10s %8lld %8lld\n", get_string(*model, "id").value_or("").c_str(), get_string(*node, "name").value_or("").c_str(),
                  get_string(*node, "region").value_or("").c_str(), state.c_str(), static_cast<long long>(get_int(*model, "running").value_or(0)),
                  static_cast<long long>(get_int(*model, "queued").value_or(0)));
    }
  }
}

}  // namespace

int ps(int argc, char** argv) {
  CLI::App app("List the models that a server has loaded", argv[0]);
  std::string server = default_server();
  bool as_json = false, cluster = false;
  app.add_option("--server", server, "Address of the server ($VERGE_SERVER)")->capture_default_str();
  app.add_flag("--json", as_json, "Print JSON");
  app.add_flag("--cluster", cluster, "Of all nodes of the cluster");
  CLI11_PARSE(app, argc, argv);
  const char* token = std::getenv("VERGE_TOKEN");
  auto status = get_json(server, cluster ? "/verge/v1/nodes" : "/verge/v1/status", token ? token : "");
  if (!status) {
    std::fprintf(stderr, "verge ps: %s\n", status.error().message.c_str());
    return 1;
  }
  if (as_json) std::printf("%s\n", json::serialize(*status).c_str());
  else if (const json::array* nodes = status->if_array()) print_cluster(*nodes);
  else if (const json::object* object = status->if_object()) print_table(*object);
  return 0;
}

}  // namespace verge::commands
