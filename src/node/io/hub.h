// The model hub's HTTP protocol: what files a repository has, and where they are.
#pragma once

#include <string>
#include <vector>

#include "node/io/download.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::node {

struct Hub {
  std::string base;   // "https://huggingface.co"
  std::string token;  // empty = none
  // $VERGE_HUB, else the public hub; $VERGE_HUB_TOKEN, else $HF_TOKEN.
  static Hub from_environment();
};

struct HubFile {
  std::string name;
  Expected expected;
};

struct HubListing {
  std::string commit;  // the revision's commit, where the hub says it
  std::vector<HubFile> files;
};

// Errors as download's; LoadFailed where the listing is not what a hub sends, or names a path outside
// the model's folder.
Result<HubListing> list_repository(const Hub& hub, const std::string& repository, const std::string& revision, const DownloadOptions& options);
Result<HubListing> parse_listing(std::string_view text);  // its pure part

// What a model needs of a repository: configuration, tokenizer, safetensors at its top level; where
// there are none, one GGUF (all parts of a split one). Empty: it holds neither.
std::vector<HubFile> choose_files(const std::vector<HubFile>& files);

std::string file_url(const Hub& hub, const std::string& repository, const std::string& revision, const std::string& name);

}  // namespace verge::node
