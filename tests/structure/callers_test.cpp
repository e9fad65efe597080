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

// Names that are called, with how often; `X::name(` is a definition, not a call.
std::map<std::string, int> names_before_parentheses(const std::string& code) {
  static const std::regex name(R"re((::)?\b([a-z]\w*)\()re");
  static const std::regex definition(R"re(\n[a-z][\w:<>,&* ]*[\w>&*] [&*]?([a-z]\w*)\([^;\n]*\{)re");  // of a free function
  std::map<std::string, int> counts;
  for (std::sregex_iterator it(code.begin(), code.end(), definition), end; it != end; ++it) --counts[(*it)[1]];
  for (std::sregex_iterator it(code.begin(), code.end(), name), end; it != end; ++it)
    if (!(*it)[1].matched) ++counts[(*it)[2]];
  return counts;
}

TEST(Structure, WhatPureFoldersOfferTheProductCalls) {
  const fs::path source = verge::source_folder() / fs::path("src");
  std::map<std::string, int> calls;
  std::vector<std::pair<fs::path, std::string>> headers;
  for (const auto& entry : fs::recursive_directory_iterator(source)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".h" && path.extension() != ".cpp") continue;
    const std::string code = code_of(path);
    for (const auto& [name, count] : names_before_parentheses(code)) calls[name] += count;
    const std::string folder = fs::relative(path, source).begin()->string();
    if (path.extension() == ".h" && std::set<std::string>{"router", "node"}.contains(folder)) headers.emplace_back(path, code);
  }
  // A line of a header that begins with a type and goes on with a name and a parenthesis declares it.
  const std::regex declaration(R"re(^\s*(?!return|else|if|for|while|using|//)[\w:<>,&*\s\[\]]*[\w>&*]\s+[&*]?([a-z]\w*)\()re");
  int looked_at = 0;
  for (const auto& [path, code] : headers) {
    std::istringstream lines(code);
    std::map<std::string, int> declared;
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (std::regex_search(line, match, declaration) && line.find("virtual") == line.npos && line.find("override") == line.npos) ++declared[match[1]];
    }
    for (const auto& [name, times] : declared) {
      ++looked_at;
      EXPECT_GT(calls[name], times) << fs::relative(path, source) << ": nothing in the product calls " << name << "()";
    }
  }
  EXPECT_GT(looked_at, 80) << "the declarations are still found";
}

}  // namespace
