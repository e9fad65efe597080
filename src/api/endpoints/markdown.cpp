// env.AI.toMarkdown() and REST's /tomarkdown: files in, Markdown out, each file with an answer or an error of its own.
#include "api/base64.h"
#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/multipart.h"
#include "support/overload_limits.h"
#include "support/release.h"
#include "support/uuid.h"

namespace verge::api {
namespace {

struct File {
  std::string name, media_type, data;
};

Result<void> check_count(size_t files) {
  if (files <= limits::kDocuments) return {};
  return fail_at(Code::InvalidInput, "/files", "maxItems at '/files' is {}, got {}", limits::kDocuments, files);
}

// JSON with base64, as the binding sends it.
Result<std::vector<File>> read_json_files(Call& call) {
  VERGE_ASSIGN(body, body_object(call));
  const json::array* list = get_array(body, "files");
  if (!list) return fail(Code::InvalidInput, "required properties at '/' are 'files'");
  // How pages and pictures become text is fixed here.
  for (const char* name : {"conversionOptions", "options"})
    if (const json::object* options = get_object(body, name); options && !options->empty()) return not_built(fmt::format("/{}", name));
  note_members_beside(call, body, {"files", "conversionOptions", "options"});
  VERGE_TRY(check_count(list->size()));
  std::vector<File> files;
  for (const json::value& value : *list) {
    const json::object* object = value.if_object();
    auto name = object ? get_string(*object, "name") : std::nullopt;
    auto data = object ? get_string(*object, "data") : std::nullopt;
    if (!name || !data) return fail_at(Code::InvalidInput, "/files", "each of '/files' has a 'name' and 'data' in base64");
    auto bytes = decode_base64(*data);
    if (!bytes) return fail(Code::InvalidInput, "'data' of the file '{}' is no base64", *name);
    files.push_back({std::move(*name), get_string(*object, "mimeType").value_or(""), std::move(*bytes)});
  }
  return files;
}

// SDKs write a list's name as "files", "files[]" or "files[0]".
bool is_files(std::string_view name) {
  if (!name.starts_with("files")) return false;
  name.remove_prefix(5);
  return name.empty() || (name.starts_with('[') && name.find(']') == name.size() - 1);
}

// A form with one part a file, as REST has it.
Result<std::vector<File>> read_form_files(Call& call) {
  const std::string_view type = call.in.header("content-type");
  if (!is_multipart(type))
    return fail(Code::InvalidInput, "the body must be a form: multipart/form-data with one or more 'files'");
  VERGE_ASSIGN(parts, parse_multipart(type, call.in.body));
  release(call.in.body);
  std::vector<File> files;
  std::vector<std::string> ignored;
  for (FormPart& part : parts) {
    if (is_files(part.name)) {
      files.push_back({std::move(part.file_name), std::move(part.type), std::move(part.data)});
    } else if (part.name == "conversionOptions") {
      VERGE_ASSIGN(options, parse_json(part.data));
      if (!options.is_object()) return fail_at(Code::InvalidInput, "/conversionOptions", "'/conversionOptions' must be a JSON object");
      if (!options.get_object().empty()) return not_built("/conversionOptions");
    } else {
      ignored.push_back(std::move(part.name));
    }
  }
  note_ignored(call, std::move(ignored));
  if (files.empty()) return fail(Code::InvalidInput, "required properties at '/' are 'files'");
  VERGE_TRY(check_count(files.size()));
  return files;
}

// Some four characters a token, as tokenizers have it for English.
int64_t about_tokens(std::string_view text) { return static_cast<int64_t>((text.size() + 3) / 4); }

http::task<void> answer_files(Call& call, Result<std::vector<File>> files) {
  if (!files) {
    co_await respond_error(call, files.error());
    co_return;
  }
  json::array results;
  size_t text_bytes = 0;
  for (File& file : *files) {
    json::object item{{"id", uuid_v4()}, {"name", file.name}, {"mimeType", file.media_type}};
    const std::string kind = call.context.options.markdown_kind ? call.context.options.markdown_kind(file.name, file.media_type) : "";
    if (kind.empty()) {
      item["format"] = "error";
      item["error"] = "Unsupported file type: " + (file.media_type.empty() ? file.name : file.media_type);
    } else if (text_bytes > limits::kDocumentsText) {
      item["format"] = "error";
      item["error"] = fmt::format("The documents before this one have more than {} MiB of text: send it in a request of its own", limits::kDocumentsText >> 20);
    } else {
      auto text = co_await call.context.options.convert(kind, file.media_type, std::move(file.data));
      if (text) {
        const std::string whole = kind == "pdf" ? "# " + file.name + "\n\n" + *text : *text;
        item["format"] = "markdown";
        text_bytes += whole.size();
        item["tokens"] = about_tokens(whole);
        item["data"] = whole;
      } else {
        item["format"] = "error";
        item["error"] = text.error().message;
      }
    }
    results.push_back(std::move(item));
  }
  json::value body = envelope(std::move(results));
  co_await respond_json(call, body);
}

}  // namespace

http::task<void> markdown(Call& call) { return answer_files(call, read_json_files(call)); }
http::task<void> markdown_form(Call& call) { return answer_files(call, read_form_files(call)); }

http::task<void> markdown_supported(Call& call) {
  json::array list;
  for (const auto& [extension, media_type] : call.context.options.markdown_supported) list.push_back({{"extension", extension}, {"mimeType", media_type}});
  return respond_envelope(call, std::move(list));
}

}  // namespace verge::api
