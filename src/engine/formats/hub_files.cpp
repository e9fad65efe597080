#include "engine/formats/hub_files.h"

#include <fstream>

#include "engine/formats/config_json.h"

namespace verge::engine {

namespace fs = std::filesystem;

Result<std::optional<std::string>> read_text(const fs::path& path, uint64_t limit) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return std::optional<std::string>();
  if (!fs::is_regular_file(path, ec)) return fail(Code::LoadFailed, "{}: not a regular file", path.string());
  const uint64_t size = fs::file_size(path, ec);
  if (ec) return fail(Code::Io, "{}: cannot read its size: {}", path.string(), ec.message());
  if (size > limit) return fail(Code::LoadFailed, "{}: {} bytes, limit {}", path.string(), size, limit);
  std::string text(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) return fail(Code::Io, "{}: cannot read", path.string());
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
