// The files of catalogue/ as the build compiled them in (scripts/embed_catalogue.cmake).
#pragma once

#include <span>
#include <string_view>

namespace verge::catalogue {

struct BuiltinFile {
  std::string_view name;  // path below catalogue/: "cf-meta-llama-3.2-1b-instruct.json", "schemas/text-generation.json"
  std::string_view text;
};
std::span<const BuiltinFile> builtin_files();

}  // namespace verge::catalogue
