#include "catalogue/catalogue.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "catalogue/builtin.h"
#include "catalogue/entry_json.h"
#include "catalogue/schema.h"
#include "support/limits.h"

namespace verge::catalogue {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kWidth = "output_dimensions";

Error in_file(std::string_view file, const Error& error) { return fail(Code::InvalidInput, "catalogue file {}: {}", file, error.message); }

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

Result<std::string> read_file(const fs::path& path) {
  std::error_code ec;
  uintmax_t size = fs::file_size(path, ec);
  if (ec) return fail(Code::Io, "catalogue file {}: {}", path.string(), ec.message());
  if (size > limits::kConfigJsonBytes)
    return fail(Code::InvalidInput, "catalogue file {}: larger than {} bytes", path.string(), limits::kConfigJsonBytes);
  std::string text(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) return fail(Code::Io, "catalogue file {}: can't be read", path.string());
  return text;
}

// A file's name below `folder` without ".json", or empty where it is elsewhere.
std::string_view stem_in(std::string_view name, std::string_view folder) {
  if (!name.starts_with(folder)) return {};
  name.remove_prefix(folder.size());
  return name.substr(0, name.size() - std::string_view(".json").size());
}

Result<Task> parse_task(const json::value& value) {
  if (!value.is_object()) return fail(Code::InvalidInput, "must be an object");
  Task task;
  for (auto [name, field] : {std::pair{"task", &task.task}, {"id", &task.id}, {"name", &task.name}, {"description", &task.description}}) {
    auto text = get_string(value.get_object(), name);
    if (!text) return fail(Code::InvalidInput, "{}: must be a string", name);
    *field = std::move(*text);
  }
  const int64_t requests = get_int(value.get_object(), "requests_per_minute").value_or(0);
  if (requests < 0 || requests > 1'000'000) return fail(Code::InvalidInput, "requests_per_minute: must be from 0 to 1,000,000");
  task.requests_per_minute = static_cast<int>(requests);
  if (const json::array* prices = get_array(value.get_object(), "prices")) {
    VERGE_ASSIGN(parsed, parse_prices(*prices));
    task.prices = std::move(parsed);
  }
  return task;
}

}  // namespace

bool valid_id(std::string_view id) {
  if (id.empty() || id.size() > 128) return false;
  if (id.front() == '@') id.remove_prefix(1);
  bool at_start = true;
  for (char c : id) {
    if (at_start && !letter_or_digit(c)) return false;
    if (!letter_or_digit(c) && c != '.' && c != '_' && c != '-' && c != '/') return false;
    at_start = c == '/';
  }
  return !at_start;
}

int embedding_width(const Entry& entry) {
  const std::string text = get_string(entry.properties, kWidth).value_or("");
  int width = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), width);
  return error == std::errc() && end == text.data() + text.size() ? width : 0;
}

bool may_stand_in(const Entry& other, const Entry& entry) {
  if (other.task != entry.task) return false;
  return entry.task != "text-embeddings" || (embedding_width(entry) > 0 && embedding_width(other) == embedding_width(entry));
}

Result<Catalogue> Catalogue::load(const std::vector<std::string>& folders) {
  Catalogue catalogue;
  std::map<std::string, json::object, std::less<>> schemas;
  auto lookup = [&](std::string_view name) -> const json::object* {
    auto found = schemas.find(name);
    return found == schemas.end() ? nullptr : &found->second;
  };
  // Schemas and tasks first: entries refer to them.
  for (const BuiltinFile& file : builtin_files()) {
    std::string_view schema = stem_in(file.name, "schemas/"), task_name = stem_in(file.name, "tasks/");
    if (schema.empty() && task_name.empty()) continue;
    auto value = parse_json(file.text);
    if (!value) return in_file(file.name, value.error());
    if (!task_name.empty()) {
      auto task = parse_task(*value);
      if (!task) return in_file(file.name, task.error());
      catalogue.tasks_.emplace(task->task, *task);
      continue;
    }
    const json::object* input = value->is_object() ? get_object(value->get_object(), "input") : nullptr;
    if (!input) return in_file(file.name, fail(Code::InvalidInput, "input: is missing"));
    if (auto checked = check_schema(*input); !checked) return in_file(file.name, checked.error());
    schemas.emplace(schema, std::move(value->get_object()));
  }
  for (auto& [name, task] : catalogue.tasks_)
    if (const json::object* shared = lookup(name)) catalogue.task_schemas_.emplace(name, *shared);
  std::map<std::string, std::string, std::less<>> files;  // id -> the file that it came from
  auto take = [&](std::string_view name, std::string_view text) -> Result<void> {
    auto value = parse_json(text);
    if (!value) return in_file(name, value.error());
    auto entry = parse_entry(*value, lookup);
    if (!entry) return in_file(name, entry.error());
    if (!catalogue.task(entry->task)) return in_file(name, fail(Code::InvalidInput, "task: must be one of {}", catalogue.task_names()));
    if (auto known = catalogue.check_defaults(*entry); !known) return in_file(name, known.error());
    files[entry->id] = name;
    catalogue.put(std::move(*entry));
    return {};
  };
  for (const BuiltinFile& file : builtin_files())
    if (file.name.find('/') == file.name.npos) VERGE_TRY(take(file.name, file.text));
  for (const std::string& folder : folders) {
    std::error_code ec;
    std::vector<fs::path> paths;
    for (auto it = fs::directory_iterator(folder, ec); !ec && it != fs::directory_iterator(); it.increment(ec))
      if (it->path().extension() == ".json") paths.push_back(it->path());
    if (ec) return fail(Code::Io, "catalogue folder {}: {}", folder, ec.message());
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) {
      VERGE_ASSIGN(text, read_file(path));
      VERGE_TRY(take(path.string(), text));
    }
  }
  if (auto told_apart = catalogue.check_aliases(); !told_apart.first.empty()) return in_file(files[told_apart.first], told_apart.second);
  return catalogue;
}

std::string Catalogue::task_names() const {
  std::string names;
  for (const auto& [name, task] : tasks_) names += (names.empty() ? "" : ", ") + name;
  return names;
}

// An alias that is another's name would never be looked up.
std::pair<std::string, Error> Catalogue::check_aliases() const {
  std::map<std::string_view, std::string_view> owners;
  for (const auto& [id, entry] : entries_) {
    for (const std::string& alias : entry.aliases) {
      if (entries_.contains(alias)) return {id, fail(Code::InvalidInput, "aliases: {} is the id of a model", alias)};
      const auto [owner, fresh] = owners.emplace(alias, id);
      if (!fresh) return {id, fail(Code::InvalidInput, "aliases: {} is an alias of {} already", alias, owner->second)};
    }
  }
  return {};
}

// A default that no parameter takes would be lost silently.
Result<void> Catalogue::check_defaults(const Entry& entry) const {
  const json::object* input = get_object(schema(entry), "input");
  if (!input) return {};
  for (const auto& [name, value] : entry.defaults) {
    const json::object* parameter = find_property(*input, name);
    if (!parameter) return fail(Code::InvalidInput, "defaults.{}: no parameter of this model", std::string_view(name));
    if (value.is_null()) continue;
    if (auto valid = validate(*parameter, value); !valid) return fail(Code::InvalidInput, "defaults.{}: {}", std::string_view(name), valid.error().message);
  }
  return {};
}

std::vector<std::string> Catalogue::user_folders() {
  std::vector<std::string> folders;
  if (const char* listed = std::getenv("VERGE_CATALOGUE"); listed && *listed) {
    std::string_view rest = listed;
    while (!rest.empty()) {
      size_t end = std::min(rest.find(':'), rest.size());
      if (end > 0) folders.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return folders;
  }
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (!(config && *config) && !(home && *home)) return folders;
  fs::path folder = (config && *config ? fs::path(config) : fs::path(home) / ".config") / "verge" / "catalogue";
  std::error_code ec;
  if (fs::is_directory(folder, ec)) folders.push_back(folder.string());
  return folders;
}

const Entry* Catalogue::find(std::string_view id) const {
  if (auto found = entries_.find(id); found != entries_.end()) return &found->second;
  auto alias = aliases_.find(id);
  if (alias == aliases_.end()) return nullptr;
  auto found = entries_.find(alias->second);
  return found == entries_.end() ? nullptr : &found->second;
}

const Entry* Catalogue::stand_in(std::string_view task) const {
  for (const auto& [id, entry] : entries_)
    if (entry.stand_in && entry.task == task) return &entry;
  return nullptr;
}

std::vector<const Entry*> Catalogue::all() const {
  std::vector<const Entry*> out;
  for (const auto& [id, entry] : entries_) out.push_back(&entry);
  return out;
}

void Catalogue::add(Entry entry) {
  added_.insert(entry.id);
  put(std::move(entry));
}

Result<void> Catalogue::reload(const std::vector<std::string>& folders) {
  VERGE_ASSIGN(fresh, load(folders));
  for (const std::string& id : added_)
    if (const Entry* entry = find(id); entry && !fresh.find(id)) fresh.add(*entry);
  fresh.retired_ = std::move(retired_);
  fresh.retired_.push_back({std::move(entries_), std::move(tasks_), std::move(task_schemas_)});
  *this = std::move(fresh);
  return {};
}

void Catalogue::put(Entry entry) {
  std::erase_if(aliases_, [&](const auto& alias) { return alias.second == entry.id; });
  for (const std::string& alias : entry.aliases) aliases_[alias] = entry.id;
  std::string id = entry.id;
  entries_.insert_or_assign(std::move(id), std::move(entry));
}

const json::object& Catalogue::schema(const Entry& entry) const {
  static const json::object kNone;
  if (!entry.schema.empty()) return entry.schema;
  auto shared = task_schemas_.find(entry.task);
  return shared == task_schemas_.end() ? kNone : shared->second;
}

const std::vector<Price>& Catalogue::prices(const Entry& entry) const {
  static const std::vector<Price> kNone;
  if (!entry.prices.empty()) return entry.prices;
  const Task* shared = task(entry.task);
  return shared ? shared->prices : kNone;
}

int Catalogue::requests_per_minute(const Entry& entry) const {
  if (entry.requests_per_minute) return entry.requests_per_minute;
  const Task* shared = task(entry.task);
  return shared ? shared->requests_per_minute : 0;
}

const Task* Catalogue::task(std::string_view task) const {
  auto found = tasks_.find(task);
  return found == tasks_.end() ? nullptr : &found->second;
}

std::vector<const Task*> Catalogue::tasks() const {
  std::vector<const Task*> out;
  for (const auto& [name, task] : tasks_) out.push_back(&task);
  return out;
}

}  // namespace verge::catalogue
