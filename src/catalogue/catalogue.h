// id -> entry. The catalogue's files are compiled into the program; users add their own.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalogue/entry.h"
#include "support/error.h"

namespace verge::catalogue {

// A task as `/ai/tasks/search` shows it.
struct Task {
  std::string task;  // "text-generation"
  std::string id;    // published uuid
  std::string name;  // "Text Generation"
  std::string description;
  int requests_per_minute = 0;  // published limit of an account; 0 = none
  std::vector<Price> prices;    // of models that have none of their own
};

class Catalogue {
 public:
  // Built-in entries, then every *.json of `folders` (later ones win; a wrong file is an error that
  // names the file and the field).
  static Result<Catalogue> load(const std::vector<std::string>& folders);
  // Reads the same again, keeping what was add()ed. Where that fails nothing changes. Entries and tasks that
  // requests hold stay good: those of before are kept, out of sight.
  Result<void> reload(const std::vector<std::string>& folders);
  // $VERGE_CATALOGUE (colon-separated), else $XDG_CONFIG_HOME/verge/catalogue where it exists.
  static std::vector<std::string> user_folders();

  // By id or alias, exact. A valid id: ^@?[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$ , at most 128 characters.
  const Entry* find(std::string_view id) const;
  const Entry* stand_in(std::string_view task) const;  // null = the task has none
  std::vector<const Entry*> all() const;               // by id
  void add(Entry entry);                               // `--model ID=PATH` of an unknown id

  // {"input":…, "output":…}: the entry's own, else the one that its task's models share.
  const json::object& schema(const Entry& entry) const;
  // The entry's own, else the task's.
  const std::vector<Price>& prices(const Entry& entry) const;
  int requests_per_minute(const Entry& entry) const;
  const Task* task(std::string_view task) const;  // null = unknown
  std::vector<const Task*> tasks() const;
  std::string task_names() const;  // for messages

 private:
  using Entries = std::map<std::string, Entry, std::less<>>;
  using Tasks = std::map<std::string, Task, std::less<>>;
  using Schemas = std::map<std::string, json::object, std::less<>>;
  struct Retired {
    Entries entries;
    Tasks tasks;
    Schemas schemas;
  };
  void put(Entry entry);
  std::pair<std::string, Error> check_aliases() const;  // an entry and what is wrong with it; no id = nothing
  Result<void> check_defaults(const Entry& entry) const;

  Entries entries_;
  std::map<std::string, std::string, std::less<>> aliases_;
  Tasks tasks_;
  Schemas task_schemas_;
  std::set<std::string, std::less<>> added_;  // by add()
  std::vector<Retired> retired_;
};

// Numbers in a vector of a text-embeddings model, as its property `output_dimensions` says; 0 = it does not say.
int embedding_width(const Entry& entry);

// Whether `other` may answer for `entry` unless somebody asks for it in so many words: it is of the same task, and vectors have
// the same width, or a client's index would hold two kinds.
bool may_stand_in(const Entry& other, const Entry& entry);

bool valid_id(std::string_view id);

}  // namespace verge::catalogue
