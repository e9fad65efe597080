// Numbered promises of the headers ("// B3 The oldest running sequence …") are kept by tests that name them: a line
// "// Promises: B3." above a test of tests/ (or "# Promises: …" in Python). An id means one promise in the whole tree.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/paths.h"

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = verge::source_folder();

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Id -> headers that give it. "F16", "BF16" and the like at a comment's start are storage types, followed by two spaces or "and".
std::map<std::string, std::vector<std::string>> promises() {
  const std::regex promise(R"re(^\s*// ([A-Z]{1,2}[1-9]) \S)re");
  std::map<std::string, std::vector<std::string>> found;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "src")) {
    if (entry.path().extension() != ".h") continue;
    for (const std::string& line : lines_of(entry.path())) {
      std::smatch match;
      if (std::regex_search(line, match, promise)) found[match[1]].push_back(fs::relative(entry.path(), kRoot));
    }
  }
  return found;
}

// Id -> a test file that names it.
std::map<std::string, std::string> named() {
  const std::regex mark(R"re(^\s*(//|#) Promises: ([A-Z0-9, ]+)\.)re"), id(R"re([A-Z]{1,2}[1-9])re");
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    const auto extension = entry.path().extension();
    if (extension != ".cpp" && extension != ".h" && extension != ".py") continue;
    for (const std::string& line : lines_of(entry.path())) {
      std::smatch match;
      if (!std::regex_search(line, match, mark)) continue;
      const std::string ids = match[2];
      for (std::sregex_iterator it(ids.begin(), ids.end(), id), end; it != end; ++it) found[it->str()] = fs::relative(entry.path(), kRoot);
    }
  }
  return found;
}

TEST(Promises, EachHasAnIdOfItsOwn) {
  const auto all = promises();
  EXPECT_GT(all.size(), 100u) << "the promises are still found";
  for (const auto& [id, headers] : all) {
    EXPECT_EQ(headers.size(), 1u) << id << " is in " << headers.front() << " and in " << headers.back();
  }
}

TEST(Promises, EachIsNamedByATest) {
  const auto tests = named();
  for (const auto& [id, headers] : promises()) {
    EXPECT_TRUE(tests.contains(id)) << id << " of " << headers.front() << ": no test says \"Promises: " << id << ".\"";
  }
}

TEST(Promises, TestsNameNoneThatIsGone) {
  const auto all = promises();
  for (const auto& [id, file] : named()) EXPECT_TRUE(all.contains(id)) << file << " names " << id << ", which no header gives";
}

}  // namespace
