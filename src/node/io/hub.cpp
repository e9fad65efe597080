#include "node/io/hub.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "support/hex.h"
#include "support/limits.h"

namespace verge::node {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// "model-00001-of-00003.gguf" -> "model"; the stem of an unsplit file is itself.
std::string split_stem(const std::string& name) {
  std::string stem = name.substr(0, name.size() - 5);
  size_t of = stem.rfind("-of-");
  if (of == std::string::npos || of < 6) return stem;
  size_t dash = stem.rfind('-', of - 1);
  return dash == std::string::npos ? stem : stem.substr(0, dash);
}

// "2_Dense/config.json", "2_Dense/model.safetensors": sentence-transformers' layers behind the pooling.
bool of_dense_module(std::string_view name) {
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > 2) return false;
  name.remove_prefix(digits);
  return name == "_Dense/config.json" || name == "_Dense/model.safetensors" || name == "_Dense/pytorch_model.bin";
}

}  // namespace

Hub Hub::from_environment() {
  Hub hub;
  hub.base = variable("VERGE_HUB");
  if (hub.base.empty()) hub.base = "https://huggingface.co";
  while (hub.base.ends_with('/')) hub.base.pop_back();
  hub.token = variable("VERGE_HUB_TOKEN");
  if (hub.token.empty()) hub.token = variable("HF_TOKEN");
  return hub;
}

std::string file_url(const Hub& hub, const std::string& repository, const std::string& revision, const std::string& name) {
  return fmt::format("{}/{}/resolve/{}/{}", hub.base, encode_path(repository), encode_path(revision), encode_path(name));
}

Result<HubListing> parse_listing(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return fail(Code::LoadFailed, "the hub's file list is no JSON: {}", parsed.error().message);
  if (!parsed->is_object()) return fail(Code::LoadFailed, "the hub's file list is no object");
  const json::object& root = parsed->get_object();
  const json::array* siblings = get_array(root, "siblings");
  if (!siblings) return fail(Code::LoadFailed, "the hub's file list lacks 'siblings'");
  if (siblings->size() > limits::kHubFiles) return fail(Code::LoadFailed, "the repository has more than {} files", limits::kHubFiles);
  HubListing listing;
  listing.commit = get_string(root, "sha").value_or("");
  if (!is_hex(listing.commit, 40)) listing.commit.clear();
  for (const json::value& item : *siblings) {
    const json::object* file = item.if_object();
    std::optional<std::string> name = file ? get_string(*file, "rfilename") : std::nullopt;
    if (!name) return fail(Code::LoadFailed, "the hub's file list has an entry without 'rfilename'");
    if (!safe_relative_path(*name)) return fail(Code::LoadFailed, "the hub's file list names {:?}, which is no path inside a folder", *name);
    HubFile out;
    out.name = *name;
    if (auto bytes = get_int(*file, "size"); bytes && *bytes > 0) out.expected.bytes = static_cast<uint64_t>(*bytes);
    if (const json::object* lfs = get_object(*file, "lfs")) {
      std::string sha = get_string(*lfs, "sha256").value_or(get_string(*lfs, "oid").value_or(""));
      if (sha.starts_with("sha256:")) sha = sha.substr(7);
      if (is_hex(sha, 64)) out.expected.sha256 = sha;
      if (auto bytes = get_int(*lfs, "size"); bytes && *bytes > 0) out.expected.bytes = static_cast<uint64_t>(*bytes);
    } else if (std::string blob = get_string(*file, "blobId").value_or(""); is_hex(blob, 40)) {
      out.expected.git_sha1 = blob;
    }
    listing.files.push_back(std::move(out));
  }
  return listing;
}

Result<HubListing> list_repository(const Hub& hub, const std::string& repository, const std::string& revision, const DownloadOptions& options) {
  std::string url = fmt::format("{}/api/models/{}/revision/{}", hub.base, encode_path(repository), encode_path(revision));
  auto text = fetch(url + "?blobs=true", limits::kHubListingBytes, options);  // with sizes and sums, where the hub has them
  if (!text && text.error().code == Code::NotFound) text = fetch(url, limits::kHubListingBytes, options);
  if (!text) return std::move(text.error());
  return parse_listing(*text);
}

std::vector<HubFile> choose_files(const std::vector<HubFile>& files) {
  static const std::set<std::string, std::less<>> kSmall = {
      "config.json",      "generation_config.json",  "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
      "vocab.json",       "merges.txt",              "vocab.txt",      "added_tokens.json",     "special_tokens_map.json",
      "chat_template.jinja", "chat_template.json", "preprocessor_config.json",
      // sentence-transformers: how vectors are made of a model's output
      "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"};
  std::vector<HubFile> small, tensors, ggufs, out;
  bool index = false;
  for (const HubFile& f : files) {
    if (of_dense_module(f.name)) small.push_back(f);
    if (f.name.find('/') != std::string::npos && !kSmall.count(f.name)) continue;
    if (kSmall.count(f.name)) small.push_back(f);
    if (f.name == "model.safetensors.index.json") {
      index = true;
      small.push_back(f);
    }
    if (f.name.ends_with(".safetensors")) tensors.push_back(f);
    if (f.name.ends_with(".gguf")) ggufs.push_back(f);
  }
  if (!tensors.empty()) {
    // Some repositories hold the weights twice: those of the hub's layout are the ones to take.
    bool named = std::any_of(tensors.begin(), tensors.end(), [](const HubFile& f) { return f.name.starts_with("model"); });
    out = small;
    for (const HubFile& f : tensors) {
      bool shard = f.name.find("-of-") != std::string::npos;
      if (named && !f.name.starts_with("model")) continue;
      if (named && index && !shard && f.name == "model.safetensors" && tensors.size() > 1) continue;
      out.push_back(f);
    }
    return out;
  }
  if (ggufs.empty()) {
    // Older repositories (BAAI/bge-m3) hold torch's own file alone.
    auto torch = std::find_if(files.begin(), files.end(), [](const HubFile& f) { return f.name == "pytorch_model.bin"; });
    if (torch == files.end()) return {};
    out = small;
    out.push_back(*torch);
    return out;
  }
  // One quantisation of many: a common good one, else the first.
  std::string chosen = split_stem(ggufs[0].name);
  for (std::string_view wanted : {"q4_k_m", "q4_0", "q8_0"}) {
    auto it = std::find_if(ggufs.begin(), ggufs.end(), [&](const HubFile& f) {
      std::string name = f.name;
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      return name.find(wanted) != std::string::npos && name.find("mmproj") == std::string::npos;
    });
    if (it == ggufs.end()) continue;
    chosen = split_stem(it->name);
    break;
  }
  for (const HubFile& f : ggufs) {
    if (split_stem(f.name) == chosen) out.push_back(f);
  }
  return out;
}

}  // namespace verge::node
