// The files of the package hibari-tts -> a model folder: config.json, model.safetensors,
// front_end.json. Runs once, when the model is pulled, on bytes that nobody has checked.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::engine {

// What convert_hibari() takes, by name in the package's folder "assets".
std::span<const std::string_view> hibari_package_files();

using NamedFiles = std::map<std::string, std::string, std::less<>>;

// Errors: LoadFailed naming the file and what is wrong with it.
Result<NamedFiles> convert_hibari(const NamedFiles& package);

}  // namespace verge::engine
