// Each check measures one thing and reports a line: ok, a hint (a part of Verge will not work or work slowly), or a fault
// (nothing will). What to do stands beside it. Nothing is changed on the machine and nothing is fetched.
#include "commands/doctor.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "commands/remote.h"
#include "engine/backends/cpu/isa.h"
#include "node/io/hub.h"
#include "node/io/installed.h"
#include "server/data_folder.h"
#include "support/json.h"

namespace verge::commands {
namespace {

namespace fs = std::filesystem;

enum class State { Ok, Hint, Fault };

struct Finding {
  const char* check;
  State state;
  std::string found;
  std::string advice;  // empty where all is well
};

const char* to_string(State state) { return state == State::Ok ? "ok" : state == State::Hint ? "hint" : "fault"; }

Finding instruction_set() {
  using engine::cpu::Isa;
  const auto isa = engine::cpu::choose_isa("");
  if (!isa) return {"isa", State::Fault, isa.error().message, "run Verge on an x86-64 machine"};
  const std::string name = engine::cpu::to_string(*isa);
  if (*isa != Isa::Base) return {"isa", State::Ok, name, ""};
  return {"isa", State::Hint, name, "no AVX2: models run many times slower; in a virtual machine pass the host's CPU on"};
}

Finding cores() {
  const unsigned count = std::thread::hardware_concurrency();
  if (count >= 2) return {"cores", State::Ok, std::to_string(count), ""};
  return {"cores", State::Hint, std::to_string(count), "a second core lets the server answer while a model computes"};
}

Finding memory() {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  const uint64_t all = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * page;
  char text[40];
  std::snprintf(text, sizeof text, "%.1f GiB", double(all) / kGiB);
  if (all >= 2 * kGiB) return {"memory", State::Ok, text, ""};
  return {"memory", State::Hint, text, "room for the smallest models only"};
}

Finding devices() { return {"devices", State::Ok, "cpu", ""}; }

// A folder, or the nearest one above it that exists, can be written and has room.
Finding folder(const char* check, const std::string& path, const char* variable, uint64_t wanted) {
  std::error_code ec;
  fs::path there = fs::absolute(path, ec);
  while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
  if (!fs::is_directory(there, ec)) return {check, State::Fault, path, there.string() + " is no folder: move it away, or set " + variable};
  if (access(there.c_str(), W_OK | X_OK) != 0)
    return {check, State::Fault, path, there.string() + " cannot be written by this user: change its owner, or set " + variable};
  const fs::space_info space = fs::space(there, ec);
  const std::string found = path + ", " + std::to_string(space.available >> 20) + " MiB free";
  if (ec || space.available >= wanted) return {check, State::Ok, found, ""};
  return {check, State::Hint, found, std::string("free some space, or set ") + variable + " to a folder on another disk"};
}

// `ask`: a server of Verge may be there, and is asked.
Finding port(int number, const char* check, const char* option, bool ask) {
  const std::string address = "127.0.0.1:" + std::to_string(number);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(number));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool unused = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  if (fd >= 0) close(fd);
  if (unused) return {check, State::Ok, address + " is not taken", ""};
  if (ask && get_json("http://" + address, "/readyz", "")) return {check, State::Ok, "a Verge server answers on " + address, ""};
  return {check, State::Hint, address + " is taken by another program", std::string("end it, or choose another port with ") + option};
}

// The first line that a program prints; empty where it cannot be run.
std::string first_line(const char* command) {
  std::FILE* pipe = popen(command, "re");
  if (!pipe) return {};
  char line[128] = {};
  const bool got = std::fgets(line, sizeof line, pipe) != nullptr;
  std::string text = got ? line : "";
  if (pclose(pipe) != 0) return {};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Finding tool(const char* check, const char* command, const char* advice) {
  const std::string version = first_line(command);
  if (!version.empty()) return {check, State::Ok, version, ""};
  return {check, State::Hint, "not found", advice};
}

Finding registry() {
  const std::string hub = node::Hub::from_environment().base;
  const bool secure = hub.rfind("https://", 0) == 0;
  std::error_code ec;
  const char* named = std::getenv("SSL_CERT_FILE");
  for (const char* file : {named, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"})
    if (!secure || (file && fs::exists(file, ec))) return {"registry", State::Ok, hub, ""};
  return {"registry", State::Hint, hub + ", no certificates to check it with", "install ca-certificates, or name a bundle in SSL_CERT_FILE"};
}

}  // namespace

int doctor(int argc, char** argv) {
  CLI::App app("Check this machine: what Verge will use of it, and what to mend", argv[0]);
  bool as_json = false;
  app.add_flag("--json", as_json, "Print JSON");
  app.footer("Ends with 1 where something keeps Verge from working. Nothing is changed or fetched.");
  CLI11_PARSE(app, argc, argv);
  constexpr uint64_t kOneModel = uint64_t{1} << 30, kState = uint64_t{64} << 20;
  const std::vector<Finding> findings{
      instruction_set(),
      cores(),
      memory(),
      devices(),
      folder("models", node::default_models_folder(), "VERGE_MODELS", kOneModel),
      folder("data", server::default_data_folder(), "XDG_DATA_HOME", kState),
      port(8780, "serve port", "verge serve --listen", true),
      port(8787, "dev port", "verge dev --port", false),
      registry(),
      tool("node", "node --version 2>/dev/null", "verge dev and --worker need Node: install nodejs, or the npm package verge-workers"),
      tool("npm", "npm --version 2>/dev/null", "verge dev fetches wrangler and workerd with npm, once: install npm"),
      tool("pip", "python3 -m pip --version 2>/dev/null", "models that are Python packages are fetched with pip: install python3-pip"),
      tool("pdftotext", "command -v pdftotext", "toMarkdown() reads PDF files with it: install poppler-utils"),
  };
  bool fault = false;
  json::array all;
  for (const Finding& one : findings) {
    fault = fault || one.state == State::Fault;
    if (as_json) all.push_back(json::object{{"check", one.check}, {"state", to_string(one.state)}, {"found", one.found}, {"advice", one.advice}});
    else std::printf("%-5s  %-10s  %s\n", to_string(one.state), one.check, one.found.c_str());
    if (!as_json && !one.advice.empty()) std::printf("       %10s  -> %s\n", "", one.advice.c_str());
  }
  if (as_json) std::printf("%s\n", json::serialize(all).c_str());
  return fault ? 1 : 0;
}

}  // namespace verge::commands
