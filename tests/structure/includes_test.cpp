// The arrows between the folders of src/ (src/README.md) hold, and the README lists what is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>
#include "tests/paths.h"

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = verge::source_folder();

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<fs::path> sources(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".h" || extension == ".cpp")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// folder -> folders that it may include, besides itself and support.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"commands", {"server", "hosting", "cluster", "convert", "api", "router", "node", "worker", "engine", "media", "protocol", "catalogue", "accounts", "store", "http"}},
    {"server", {"hosting", "api", "cluster", "router", "node", "protocol", "catalogue", "accounts", "http", "convert"}},
    {"hosting", {"api", "node", "http", "accounts"}},
    {"cluster", {"protocol", "http", "accounts"}},
    {"api", {"protocol", "catalogue", "accounts", "http"}},
    {"router", {"protocol"}},
    {"node", {"protocol", "catalogue", "store", "http"}},
    {"worker", {"protocol", "engine", "media"}},
    {"protocol", {"http"}},
    {"accounts", {"protocol", "catalogue", "store"}},
    {"engine", {}},
    {"catalogue", {}},
    {"media", {}},
    {"store", {}},
    {"http", {}},
    {"convert", {}},
    {"support", {}},
};

TEST(Includes, FollowTheArrows) {
  const std::regex include(R"re(^\s*#include "([a-z_]+)/)re");
  for (const fs::path& file : sources(kRoot / "src")) {
    const std::string folder = fs::relative(file, kRoot / "src").begin()->string();
    if (folder == "main.cpp") continue;
    ASSERT_TRUE(kAllowed.contains(folder)) << folder << " is not in src/README.md's arrows";
    std::istringstream lines(read(file));
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const std::string target = match[1];
      EXPECT_TRUE(target == folder || target == "support" || kAllowed.at(folder).contains(target))
          << fs::relative(file, kRoot) << " includes " << target << "/, which " << folder << "/ may not";
    }
  }
}

TEST(Includes, OnlyTheServerWiresAllLayers) {
  const std::regex layer(R"re(#include "(api|router|node|worker)/)re");
  for (const fs::path& file : sources(kRoot / "src/commands")) {
    const std::string text = read(file);
    std::set<std::string> layers;
    for (std::sregex_iterator it(text.begin(), text.end(), layer), end; it != end; ++it) layers.insert((*it)[1]);
    EXPECT_LE(layers.size(), 2u) << fs::relative(file, kRoot);
  }
}

// One folder of a device never includes from another's.
TEST(Includes, BackendsAreSiblings) {
  const std::regex backend(R"re(#include "engine/backends/([a-z]+)/)re");
  for (const fs::path& file : sources(kRoot / "src/engine/backends")) {
    const auto relative = fs::relative(file, kRoot / "src/engine/backends");
    if (std::distance(relative.begin(), relative.end()) < 2) continue;
    const std::string text = read(file);
    for (std::sregex_iterator it(text.begin(), text.end(), backend), end; it != end; ++it) EXPECT_EQ((*it)[1], relative.begin()->string()) << file;
  }
}

TEST(Structure, ReadmeListsTheFolders) {
  const std::string readme = read(kRoot / "src/README.md");
  for (const auto& entry : fs::directory_iterator(kRoot / "src")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory()) continue;
    EXPECT_NE(readme.find("`" + name + "/`"), std::string::npos) << "src/README.md does not mention " << name << "/";
  }
  const std::regex mention(R"re(`([a-z_]+)/`)re");
  for (std::sregex_iterator it(readme.begin(), readme.end(), mention), end; it != end; ++it)
    EXPECT_TRUE(fs::is_directory(kRoot / "src" / (*it)[1].str())) << "src/README.md names " << (*it)[1] << "/, which is not there";
}

TEST(Structure, NoUnfinishedWords) {
  const std::regex banned(R"re(\b(TODO|FIXME|XXX|HACK)\b)re");
  for (const fs::path& file : sources(kRoot / "src")) {
    std::istringstream lines(read(file));
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      EXPECT_FALSE(std::regex_search(line, banned)) << fs::relative(file, kRoot) << ":" << number << ": " << line;
    }
  }
}

// What leaves a coroutine or a handler ends the program, whoever caused it: coroutines are started by support/spawn, other threads have
// work by support/pool, and the loop is run by run_loop().
TEST(Structure, CoroutinesAndThreadPoolsHaveOneDoor) {
  const std::regex banned(R"re(\bco_spawn\b|\bdetached\b|\bthread_pool\b|awaitable_operators|parallel_group|\bio_?\.run(_one|_for|_until)?\(\)|\bpoll(_one)?\(\))re");
  const std::set<std::string> doors = {"spawn.h", "spawn.cpp", "pool.h", "pool.cpp"};
  for (const fs::path& file : sources(kRoot / "src")) {
    if (file.parent_path().filename() == "support" && doors.contains(file.filename().string())) continue;
    std::istringstream lines(read(file));
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (line.find_first_not_of(' ') != line.npos && line.compare(line.find_first_not_of(' '), 2, "//") == 0) continue;
      EXPECT_FALSE(std::regex_search(line, banned)) << fs::relative(file, kRoot) << ":" << number << ": " << line;
    }
  }
}

// Only what starts a process runs a loop: its services share that one thread and need no lock.
// Promises: S3.
TEST(Structure, ServicesRunOnTheLoopOfTheirProcess) {
  int loops = 0;
  for (const fs::path& file : sources(kRoot / "src")) {
    const std::string folder = fs::relative(file, kRoot / "src").begin()->string();
    if (read(file).find("run_loop(io") == std::string::npos || folder == "support") continue;
    ++loops;
    EXPECT_TRUE(folder == "commands" || folder == "server" || folder == "worker") << fs::relative(file, kRoot) << " runs a loop";
  }
  EXPECT_GT(loops, 0);
}

// Assigning an empty string keeps the memory: a body of 100 MB stayed with its connection (support/release.h).
TEST(Structure, MemoryIsGivenBackByName) {
  const std::regex assigned(R"re(^\s*[\w.>-]*(\.|->|_)?\w+ = std::string(\(\)|\{\});)re");
  for (const fs::path& file : sources(kRoot / "src")) {
    std::istringstream lines(read(file));
    for (std::string line; std::getline(lines, line);)
      EXPECT_FALSE(std::regex_search(line, assigned)) << fs::relative(file, kRoot) << ": " << line << " frees nothing: release() does";
  }
}

// Nothing that is not UTF-8 reaches a JSON answer: the API makes all JSON text in one place (api/utf8.h).
TEST(Structure, OnePlaceMakesTheJsonOfAnswers) {
  for (const fs::path& file : sources(kRoot / "src/api")) {
    if (file.filename() != "utf8.cpp") {
      EXPECT_EQ(read(file).find("json::serialize("), std::string::npos) << fs::relative(file, kRoot);
    }
  }
}

// Kernels are compiled once per instruction set: an inline function of the standard library in one of them
// could be the copy that the linker keeps for the whole program.
TEST(Structure, KernelsIncludeNoStandardLibraryTemplates) {
  const fs::path folder = kRoot / "src/engine/backends/cpu/kernels";
  const std::set<std::string> allowed = {"immintrin.h", "stdint.h", "stddef.h", "string.h", "float.h", "limits.h"};
  const std::regex include(R"re(^\s*#include <([^>]+)>)re");
  for (const fs::path& file : sources(folder)) {
    std::istringstream lines(read(file));
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      EXPECT_TRUE(allowed.contains(match[1])) << file.filename() << " includes <" << match[1] << ">";
    }
  }
}

}  // namespace
