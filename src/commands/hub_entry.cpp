#include "commands/hub_entry.h"

#include <algorithm>
#include <string>
#include <utility>

#include "catalogue/catalogue.h"

namespace verge::commands {

Result<std::optional<catalogue::Entry>> hub_entry(std::string_view id) {
  constexpr std::string_view kPrefix = "hub:";
  if (!id.starts_with(kPrefix)) return std::optional<catalogue::Entry>();
  const std::string whole(id);
  id.remove_prefix(kPrefix.size());
  catalogue::Source source;
  source.kind = catalogue::Source::Kind::Hub;
  if (const size_t at = id.find('@'); at != std::string_view::npos) {
    source.revision = id.substr(at + 1);
    id = id.substr(0, at);
  }
  // It becomes a folder's name.
  if (!catalogue::valid_id(id) || id.front() == '@' || std::ranges::count(id, '/') > 1)
    return fail(Code::InvalidInput, "'{}' names no repository: write hub:ORGANISATION/REPOSITORY",
                whole);
  source.location = id;
  catalogue::Entry entry;
  entry.id = id;
  entry.task = "text-generation";
  entry.sources.push_back(std::move(source));
  return std::optional<catalogue::Entry>(std::move(entry));
}

}  // namespace verge::commands
