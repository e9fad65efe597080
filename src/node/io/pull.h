// Brings a catalogue entry's model onto this machine: its sources in order, the first that works. Files
// land in MODELS/ID; a manifest, written last, says that all are there and right. Of two pulls of one
// model at once the second waits for the first.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "catalogue/entry.h"
#include "node/io/hub.h"
#include "support/error.h"

namespace verge::node {

inline constexpr const char* kManifestName = "verge-model.json";

struct PullOptions {
  std::string models_folder;
  Hub hub;
  // Over the whole model; total 0 = not known yet.
  std::function<void(const std::string& file, uint64_t done, uint64_t total)> progress = [](const std::string&, uint64_t, uint64_t) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};  // what is tried, what failed
  std::function<void(int ms)> wait;  // between attempts; null = really sleep
};

struct Pulled {
  std::string folder;
  std::string source;    // "hub org/repo", "package name==1.0" …
  uint64_t bytes = 0;
  bool already = false;  // it was there
};

// Errors name each source that was tried and why it failed, and say how to provide the files by hand.
// TooLarge: no room on the disk (no other source is tried then).
Result<Pulled> pull(const catalogue::Entry& entry, const PullOptions& options);

// The manifest of a finished pull whose files are all there in full length; nullopt else.
std::optional<json::object> read_manifest(const std::string& folder);

std::string describe(const catalogue::Source& source);

}  // namespace verge::node
