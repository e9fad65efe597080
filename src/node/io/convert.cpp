#include "node/io/convert.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "node/io/part_file.h"
#include "node/io/process.h"

namespace verge::node {
namespace {

constexpr size_t kAnswerBytes = 512 << 20;
constexpr size_t kFiles = 16, kNameBytes = 64;

bool plain(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytes && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
         });
}

}  // namespace

// "NAME LENGTH\n"
std::string converted_head(std::string_view name, uint64_t bytes) { return fmt::format("{} {}\n", name, bytes); }

Result<std::vector<std::string>> convert_model(const std::string& family, const std::string& folder) {
  std::string answer, complaint;
  VERGE_ASSIGN(code, run_to_end({"/proc/self/exe", "convert", family, folder}, kAnswerBytes, &answer, &complaint));
  if (code != 0) {
    while (complaint.ends_with('\n')) complaint.pop_back();
    return fail(Code::InvalidInput, "the package's files could not be converted: {}", complaint.substr(0, 600));
  }
  std::vector<std::string> names;
  for (std::string_view rest = answer; !rest.empty();) {
    const size_t line = std::min(rest.find('\n'), rest.size()), space = std::min(rest.find(' '), line);
    const std::string_view name = rest.substr(0, space), length = rest.substr(std::min(space + 1, line), line - std::min(space + 1, line));
    uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bytes);
    const bool good = line < rest.size() && plain(name) && error == std::errc() && end == length.data() + length.size() &&
                      bytes <= rest.size() - line - 1 && names.size() < kFiles;
    if (!good) return fail(Code::InvalidInput, "the converter's answer is damaged");
    VERGE_TRY(write_file(folder + "/" + std::string(name), rest.substr(line + 1, bytes)));
    names.emplace_back(name);
    rest.remove_prefix(line + 1 + bytes);
  }
  if (names.empty()) return fail(Code::InvalidInput, "the converter made no files");
  return names;
}

}  // namespace verge::node
