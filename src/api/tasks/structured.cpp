#include "api/tasks/structured.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/errors.h"
#include "api/tasks/fields.h"
#include "api/utf8.h"
#include "support/limits.h"

namespace verge::api {
namespace {

// Words that make an object a schema, where it has `schema` too.
constexpr std::string_view kSchemaWords[] = {"type", "properties", "items", "$ref", "anyOf", "oneOf", "allOf", "enum", "const",
                                             "not", "if", "$defs", "definitions", "required", "pattern", "format"};

// OpenAI's {name, schema, strict}, whole or with the schema forgotten.
bool is_wrapper(const json::object& object) {
  return (object.contains("schema") || get_string(object, "name") || get_bool(object, "strict")) &&
         std::none_of(std::begin(kSchemaWords), std::end(kSchemaWords), [&](std::string_view word) { return object.contains(word); });
}

class Reader {
 public:
  Reader(Params& in, bool bare, TextRequest& out) : in_(in), bare_(bare), out_(out) {}

  void read() {
    if (const json::value* format = in_.find("response_format")) response_format(*format);
    if (const json::value* schema = in_.find("guided_json"); schema && !is_blank(*schema))
      guided_json("/guided_json", *schema);
    for (const char* field : {"guided_regex", "regex"}) text_of(field, "regex");
    for (const char* field : {"guided_grammar", "ebnf"}) text_of(field, "gbnf");
    if (const json::value* grammar = in_.find("grammar")) grammar_of(*grammar);
    if (const json::value* outputs = in_.find("structured_outputs")) structured_outputs(*outputs);
    if (const json::value* choice = in_.find("guided_choice"); choice && !is_blank(*choice)) guided_choice("/guided_choice", *choice);
    if (!in_.ok() || at_.empty()) return;
    if (!out_.params.stop.empty())
      in_.refuse(fail_at(Code::InvalidInput, "/stop", "'/stop' can't be met beside '{}': it would cut what the answer must be", at_));
  }

 private:
  // As null: forms send it so. A schema without words and a list without choices are not that.
  static bool is_blank(const json::value& value) { return value.is_string() && value.get_string().empty(); }
  static bool nothing(const json::value& value) {
    return (value.is_array() && value.get_array().empty()) || (value.is_string() && value.get_string().empty()) ||
           (value.is_object() && value.get_object().empty());
  }

  void take(std::string at, std::string_view kind, std::string source, bool json) {
    if (!at_.empty()) return in_.refuse(fail_at(Code::InvalidInput, std::string(at_), "'{}' and '{}' exclude each other", at_, at));
    at_ = at;
    out_.json = json;
    out_.params.grammar = {std::string(kind), std::move(source), std::move(at)};
  }

  void schema(std::string at, const json::value& value) {
    if (!value.is_object() && !value.is_bool())
      return in_.refuse(fail_at(Code::InvalidInput, std::string(at), "Type mismatch of '{}', 'object' not in '{}'", at, type_name(value)));
    take(std::move(at), "json_schema", json_body(value), true);
  }

  void response_format(const json::value& value) {
    if (nothing(value)) return;
    const json::object* format = value.if_object();
    if (!format) return in_.refuse(fail_at(Code::InvalidInput, "/response_format", "Type mismatch of '/response_format', 'object' not in '{}'", type_name(value)));
    const std::string type = get_string(*format, "type").value_or("");
    if (type == "text") return;
    if (type == "json_object") {
      const json::value* extra = format->if_contains("schema");  // llama.cpp's and Together's word
      if (extra && !extra->is_null()) return schema("/response_format/schema", *extra);
      const json::value* named = format->if_contains("json_schema");
      if (named && !named->is_null() && !nothing(*named)) return json_schema(*named);
      return take("/response_format", "json_schema", R"({"type":"object"})", true);
    }
    if (type == "grammar" || type == "regex")  // as other servers have it
      return inner_text("/response_format", *format, type,
                        type == "grammar" || format->contains("regex") ? type : "pattern");
    if (type != "json_schema")
      return in_.refuse(fail_at(Code::InvalidInput, "/response_format/type",
                                "enum {:.32} not in text,json_object,json_schema,grammar,regex at "
                                "'/response_format/type'",
                                type));
    const json::value* named = format->if_contains("json_schema");
    if (!named || named->is_null()) return in_.refuse(fail_at(Code::InvalidInput, "/response_format", "required properties at '/response_format' are 'type,json_schema'"));
    json_schema(*named);
  }

  void json_schema(const json::value& value) {
    const json::object* object = value.if_object();
    if (bare_ && !(object && is_wrapper(*object))) return schema("/response_format/json_schema", value);
    if (!object)
      return in_.refuse(fail_at(Code::InvalidInput, "/response_format/json_schema", "Type mismatch of '/response_format/json_schema', 'object' not in '{}'", type_name(value)));
    if (!check_wrapper(*object)) return;
    const json::value* inner = object->if_contains("schema");
    if (!inner || inner->is_null())
      return in_.refuse(fail_at(Code::InvalidInput, "/response_format/json_schema", "required properties at '/response_format/json_schema' are 'name,schema'"));
    schema("/response_format/json_schema/schema", *inner);
  }

  // What stands beside a schema.
  bool check_wrapper(const json::object& wrapper) {
    constexpr std::pair<std::string_view, FieldType> kMembers[] = {
        {"name", FieldType::Text}, {"description", FieldType::Text}, {"strict", FieldType::Flag}};
    for (const auto& [name, type] : kMembers) {
      auto checked = check_type(wrapper, name, type, "/response_format/json_schema");
      if (checked) continue;
      in_.refuse(std::move(checked.error()));
      return false;
    }
    return true;
  }

  void text_of(const char* field, std::string_view kind) {
    const auto text = in_.text(field);
    if (text && !text->empty()) take(fmt::format("/{}", field), kind, *text, false);
  }

  void inner_text(std::string_view at, const json::object& object, std::string_view kind,
                  std::string_view field) {
    const auto text = get_string(object, field);
    if (!text || text->empty())
      return in_.refuse(fail_at(Code::InvalidInput, std::string(at),
                                "required properties at '{}' are '{}', a text", at, field));
    take(fmt::format("{}/{}", at, field), kind == "grammar" ? "gbnf" : kind, *text, false);
  }

  // llama.cpp's text, or the {type, value} of Text Generation Inference.
  void grammar_of(const json::value& value) {
    if (nothing(value) || value.is_null()) return;
    if (value.is_string())
      return take("/grammar", "gbnf", std::string(value.get_string()), false);
    const json::object* object = value.if_object();
    if (!object)
      return in_.refuse(fail_at(Code::InvalidInput, "/grammar", "Type mismatch of '/grammar', 'string' not in '{}'",
                             type_name(value)));
    const std::string type = get_string(*object, "type").value_or("");
    const json::value* inner = object->if_contains("value");
    if (type == "json" && inner) return guided_json("/grammar/value", *inner);
    if (type == "regex") return inner_text("/grammar", *object, "regex", "value");
    in_.refuse(fail_at(Code::InvalidInput, "/grammar/type",
                    "enum {:.32} not in json,regex at '/grammar/type'; a GBNF grammar is a text",
                    type));
  }

  // vLLM's, in which one of its words has a value.
  void structured_outputs(const json::value& value) {
    if (nothing(value) || value.is_null()) return;
    const json::object* object = value.if_object();
    if (!object)
      return in_.refuse(fail_at(Code::InvalidInput, "/structured_outputs",
                             "Type mismatch of '/structured_outputs', 'object' not in '{}'",
                             type_name(value)));
    for (const auto& [key, inner] : *object) {
      if (inner.is_null() || (inner.is_bool() && !inner.get_bool())) continue;
      if (key == "json") guided_json("/structured_outputs/json", inner);
      else if (key == "choice") guided_choice("/structured_outputs/choice", inner);
      else if (key == "regex" || key == "grammar")
        inner_text("/structured_outputs", *object, key, key);
      else if (key == "json_object")
        take("/structured_outputs/json_object", "json_schema", R"({"type":"object"})", true);
      else
        return in_.refuse(fail_at(Code::InvalidInput,
                                  fmt::format("/structured_outputs/{:.40}", std::string_view(key)),
                                  "'/structured_outputs/{:.40}' is not supported",
                                  std::string_view(key)));
      if (!in_.ok()) return;
    }
  }

  void guided_json(std::string at, const json::value& value) {
    if (!value.is_string()) return schema(std::move(at), value);
    Result<json::value> parsed = parse_json(std::string_view(value.get_string()));  // vLLM takes the schema as text, too
    if (!parsed) return in_.refuse(fail_at(Code::InvalidInput, at, "'{}' is no JSON: {}", at, parsed.error().message));
    schema(std::move(at), *parsed);
  }

  void guided_choice(std::string at, const json::value& value) {
    const json::array* list = value.if_array();
    if (!list || !std::all_of(list->begin(), list->end(), [](const json::value& x) { return x.is_string(); }))
      return in_.refuse(fail_at(Code::InvalidInput, at, "Type mismatch of '{}', a list of texts not in '{}'", at, type_name(value)));
    take(std::move(at), "choice", json_body(value), false);
  }

  Params& in_;
  bool bare_;
  TextRequest& out_;
  std::string at_;
};

}  // namespace

void read_structured(Params& in, bool bare, TextRequest& out) { Reader(in, bare, out).read(); }

}  // namespace verge::api
