#include "commands/schema_file.h"

#include "api/tasks/as_chat.h"

namespace verge::commands {

Error named_by_file(Error error, const std::string& file) {
  if (file.empty()) return error;
  const std::string root = file + "#";
  const std::pair<std::string_view, std::string_view> names[] = {
      {"/response_format/json_schema/schema", root}, {"/response_format/json_schema", root}};
  return api::in_own_names(std::move(error), names);
}

}  // namespace verge::commands
