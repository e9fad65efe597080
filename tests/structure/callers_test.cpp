// What the pure folders offer is used by the product: a function that only tests or the simulator
// call is proven, and not shipped.
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

std::string code_of(const fs::path& path) {
  std::ifstream file(path);
  std::string code;
  for (std::string line; std::getline(file, line);) code += line.substr(0, line.find("//")) + '\n';
  return code;
}

// Names that are called, with how often; `Class::name(` is a definition, not a call.
std::map<std::string, int> names_before_parentheses(const std::string& code) {
  static const std::regex name(R"re(([A-Z]\w*::)?\b([a-z]\w*)\()re");
  static const std::regex definition(R"re(\n[a-z][\w:<>,&* ]*[\w>&*] [&*]?([a-z]\w*)\([^;\n]*\{)re");  // of a free function
  std::map<std::string, int> counts;
  for (std::sregex_iterator it(code.begin(), code.end(), definition), end; it != end; ++it) --counts[(*it)[1]];
  for (std::sregex_iterator it(code.begin(), code.end(), name), end; it != end; ++it)
    if (!(*it)[1].matched) ++counts[(*it)[2]];
  return counts;
}

// Names that a header declares, with how often. A line that begins with a type and goes on with a
// name and a parenthesis declares it.
std::map<std::string, int> declared_in(const std::string& code) {
  static const std::regex declaration(
      R"re(^\s*(?!\s|return|else|if|for|while|using|//)[\w:<>,&*\s\[\]]*[\w>&*]\s+[&*]?([a-z]\w*)\()re");
  std::istringstream lines(code);
  std::map<std::string, int> declared;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, declaration) && line.find("virtual") == line.npos &&
        line.find("override") == line.npos)
      ++declared[match[1]];
  }
  return declared;
}

// How often each name stands, but for where a source file defines a function of that name.
void count_uses(const fs::path& path, const std::string& code, std::map<std::string, int>& uses) {
  static const std::regex word(R"re(\b[a-z]\w*\b)re");
  static const std::regex definition(R"re(\n[a-z][^\n;=]*?\b([a-z]\w*)\([^;]*?\{)re");
  for (std::sregex_iterator it(code.begin(), code.end(), word), end; it != end; ++it)
    ++uses[it->str()];
  if (path.extension() == ".h") return;  // what a header defines, it declares there, too
  for (std::sregex_iterator it(code.begin(), code.end(), definition), end; it != end; ++it)
    --uses[(*it)[1]];
}

class Source {
 public:
  Source() : root_(verge::source_folder() / fs::path("src")) {
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp") continue;
      codes_.emplace_back(fs::relative(entry.path(), root_), code_of(entry.path()));
    }
  }
  const std::vector<std::pair<fs::path, std::string>>& codes() const { return codes_; }

 private:
  fs::path root_;
  std::vector<std::pair<fs::path, std::string>> codes_;
};

TEST(Structure, WhatPureFoldersOfferTheProductCalls) {
  const Source source;
  std::map<std::string, int> calls;
  for (const auto& [path, code] : source.codes())
    for (const auto& [name, count] : names_before_parentheses(code)) calls[name] += count;
  int looked_at = 0;
  for (const auto& [path, code] : source.codes()) {
    const std::string folder = *path.begin();
    if (path.extension() != ".h" || (folder != "router" && folder != "node")) continue;
    for (const auto& [name, times] : declared_in(code)) {
      ++looked_at;
      EXPECT_GT(calls[name], times) << path << ": nothing in the product calls " << name << "()";
    }
  }
  EXPECT_GT(looked_at, 80) << "the declarations are still found";
}

// In every folder, and so by the name alone: it may be called, or passed on as a value.
TEST(Structure, WhatHeadersDeclareTheProductUses) {
  const std::map<std::string, std::string> kForTests = {
      {"chance", "worlds and noise of the simulator and of tests are drawn by support/random.h"},
      {"all_syntaxes", "tests walk every syntax, so that none is left out"},
  };
  const Source source;
  std::map<std::string, int> uses;
  for (const auto& [path, code] : source.codes()) count_uses(path, code, uses);
  int looked_at = 0;
  for (const auto& [path, code] : source.codes()) {
    if (path.extension() != ".h") continue;
    for (const auto& [name, times] : declared_in(code)) {
      ++looked_at;
      if (kForTests.contains(name)) continue;
      EXPECT_GT(uses[name], times) << path << ": nothing in the product uses " << name << "()";
    }
  }
  EXPECT_GT(looked_at, 800) << "the declarations are still found";
}

}  // namespace
