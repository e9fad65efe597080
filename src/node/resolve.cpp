#include "node/resolve.h"

#include <optional>

namespace verge::node {
namespace {

std::string width_text(const catalogue::Entry& entry) {
  const int width = catalogue::embedding_width(entry);
  return width > 0 ? std::to_string(width) : "a number that is not known";
}

std::optional<Resolved> here(const Installations& installed, const catalogue::Entry& entry, bool substituted) {
  const auto found = installed.find(entry.id);
  if (found == installed.end()) return std::nullopt;
  return Resolved{.id = entry.id, .task = entry.task, .files = found->second, .substituted = substituted};
}

// The task's own stand-in; where that is not here, the model that travels with the program.
std::optional<Resolved> stand_in_for(const catalogue::Catalogue& catalogue, const Installations& installed,
                                     const catalogue::Entry& entry) {
  const catalogue::Entry* usual = catalogue.stand_in(entry.task);
  if (usual && catalogue::may_stand_in(*usual, entry))
    if (auto model = here(installed, *usual, true)) return model;
  for (const catalogue::Entry* other : catalogue.all()) {
    if (!catalogue::may_stand_in(*other, entry) || other->sources.empty() || !other->sources[0].location.starts_with("builtin:")) continue;
    if (auto model = here(installed, *other, true)) return model;
  }
  return std::nullopt;
}

}  // namespace

Result<Resolved> resolve_model(const catalogue::Catalogue& catalogue, const ResolveOptions& options,
                               const Installations& installed, std::string_view id) {
  const catalogue::Entry* entry = catalogue.find(id);
  const std::string name = entry ? entry->id : std::string(id);
  if (options.paths.contains(name)) {
    // Files that are gone are no reason to answer by another model: the load names them.
    const auto found = installed.find(name);
    Installed files = found == installed.end() ? Installed{options.paths.find(name)->second, 0, ""} : found->second;
    return Resolved{.id = name, .task = entry ? entry->task : "text-generation", .files = std::move(files), .substituted = false};
  }
  if (!entry) return fail(Code::NoSuchModel, "No such model {} or task", id);
  if (auto named = options.named_stand_ins.find(name); named != options.named_stand_ins.end()) {
    const catalogue::Entry* other = catalogue.find(named->second);
    if (auto model = other ? here(installed, *other, true) : std::nullopt) return *model;
    return fail(Code::ModelUnavailable, "model {}, which answers for {}, is not on this machine: run 'verge pull {}', or start the server with --model {}=PATH", named->second, name,
                named->second, named->second);
  }
  if (auto model = here(installed, *entry, false)) return *model;
  std::string hint;
  if (options.stand_ins) {
    if (auto other = stand_in_for(catalogue, installed, *entry)) return *other;
    const catalogue::Entry* usual = catalogue.stand_in(entry->task);
    if (usual && usual != entry && !catalogue::may_stand_in(*usual, *entry))
      hint = fmt::format(". Its stand-in {} makes vectors of another width ({} numbers, not {}), which do not go with its own; --stand-in {}={} answers with it all the same", usual->id,
                         catalogue::embedding_width(*usual), width_text(*entry), name, usual->id);
  }
  return fail(Code::ModelUnavailable, "model {} is not on this machine: run 'verge pull {}', or start the server with --model {}=PATH{}{}", name, name, name,
              options.stand_ins ? "" : " or --stand-ins", hint);
}

std::vector<std::pair<std::string, Resolved>> offered_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options,
                                                             const Installations& installed) {
  std::vector<std::pair<std::string, Resolved>> out;
  for (const catalogue::Entry* entry : catalogue.all())
    if (auto model = resolve_model(catalogue, options, installed, entry->id)) out.emplace_back(entry->id, std::move(*model));
  return out;
}

}  // namespace verge::node
