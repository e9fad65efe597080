#include "engine/formats/hub_files.h"

#include "engine/formats/file_access.h"

#include "engine/formats/config_json.h"

namespace verge::engine {

namespace fs = std::filesystem;

Result<std::optional<std::string>> read_text(const fs::path& path, uint64_t limit) {
  if (!file_exists(path)) return std::optional<std::string>();
  VERGE_ASSIGN(text, read_file(path, limit));
  return std::optional<std::string>(std::move(text));
}

Result<json::object> parse_object(const std::string& text, const fs::path& path) {
  auto value = parse_config_json(text);
  if (!value) return fail(Code::LoadFailed, "{}: {}", path.string(), value.error().message);
  if (!value->is_object()) return fail(Code::LoadFailed, "{}: not a JSON object", path.string());
  return std::move(value->get_object());
}

Result<json::object> read_object(const fs::path& path, uint64_t limit, bool required) {
  VERGE_ASSIGN(text, read_text(path, limit));
  if (text) return parse_object(*text, path);
  if (required) return fail(Code::LoadFailed, "{}: no such file", path.string());
  return json::object();
}

}  // namespace verge::engine
