#include "node/io/inspections.h"

#include <cassert>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "node/io/fingerprint.h"
#include "support/io_thread.h"
#include "support/json.h"
#include "support/log.h"
#include "support/version.h"

namespace verge::node {
namespace {

constexpr size_t kMostFiles = 1000;      // that are remembered
constexpr int64_t kMostBytes = 4 << 20;  // of the file

}  // namespace

Inspections::Inspections(std::string file, std::string settings, Ask ask)
    : file_(std::move(file)), settings_(fmt::format("{} {}", version(), settings)), ask_(std::move(ask)) {
  if (!file_.empty()) read();
}

void Inspections::read() {
  std::ifstream in(file_, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() > kMostBytes) return;
  in.seekg(0);
  std::stringstream text;
  text << in.rdbuf();
  const auto parsed = parse_json(text.str());
  const json::object* whole = parsed ? parsed->if_object() : nullptr;
  if (!whole || get_string(*whole, "settings") != settings_) return;
  if (const json::object* files = get_object(*whole, "files"))
    for (const auto& [path, value] : *files)
      if (const json::object* one = value.if_object())
        prints_[std::string(path)] = {get_string(*one, "stamp").value_or(""), get_string(*one, "fingerprint").value_or("")};
  if (const json::object* models = get_object(*whole, "models"))
    for (const auto& [fingerprint, value] : *models)
      if (const json::object* one = value.if_object())
        if (auto facts = read_model_facts(*one)) facts_[std::string(fingerprint)] = std::move(*facts);
}

void Inspections::write() {
  json::object files, models;
  {
    std::lock_guard lock(mutex_);
    if (prints_.size() > kMostFiles) {
      prints_.clear();
      facts_.clear();
    }
    std::set<std::string> used;
    for (const auto& [path, print] : prints_) {
      files[path] = json::object{{"stamp", print.stamp}, {"fingerprint", print.fingerprint}};
      used.insert(print.fingerprint);
    }
    std::erase_if(facts_, [&](const auto& one) { return !used.contains(one.first); });
    for (const auto& [fingerprint, facts] : facts_) models[fingerprint] = to_json(facts);
  }
  const std::string fresh = file_ + ".new";
  std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
  out << json::serialize(json::object{{"settings", settings_}, {"files", std::move(files)}, {"models", std::move(models)}});
  out.close();
  if (!out || std::rename(fresh.c_str(), file_.c_str()) != 0) log::warn("what is known of models cannot be kept", {{"file", file_}});
}

std::optional<ModelFacts> Inspections::known(const Installed& files) const {
  std::lock_guard lock(mutex_);
  const auto print = prints_.find(files.path);
  if (print == prints_.end() || print->second.stamp != files.stamp) return std::nullopt;
  const auto facts = facts_.find(print->second.fingerprint);
  return facts == facts_.end() ? std::nullopt : std::optional(facts->second);
}

Result<Inspections::Known> Inspections::of(const Installed& files) {
  assert(!on_io_thread());
  std::lock_guard asking(asking_);
  std::string fingerprint;
  {
    std::lock_guard lock(mutex_);
    const auto print = prints_.find(files.path);
    if (print != prints_.end() && print->second.stamp == files.stamp) fingerprint = print->second.fingerprint;
    const auto facts = facts_.find(fingerprint);
    if (!fingerprint.empty() && facts != facts_.end()) return Known{fingerprint, facts->second};
  }
  if (fingerprint.empty()) {
    VERGE_ASSIGN(made, fingerprint_of(files.path));
    fingerprint = std::move(made);
  }
  std::optional<ModelFacts> facts;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = facts_.find(fingerprint); found != facts_.end()) facts = found->second;
  }
  if (!facts) {
    VERGE_ASSIGN(told, ask_(files.path));
    facts = std::move(told);
  }
  {
    std::lock_guard lock(mutex_);
    prints_[files.path] = {files.stamp, fingerprint};
    facts_[fingerprint] = *facts;
  }
  if (!file_.empty()) write();
  return Known{fingerprint, *facts};
}

}  // namespace verge::node
