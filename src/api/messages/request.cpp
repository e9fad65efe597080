#include "api/messages/request.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <set>

#include "api/errors.h"
#include "api/tasks/as_chat.h"
#include "api/tasks/fields.h"
#include "api/tasks/parameters.h"
#include "support/limits.h"

namespace verge::api::messages {
namespace {

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"/response_format/json_schema/schema", "/output_config/format/schema"},
    {"/response_format", "/output_config/format"},
    {"/max_completion_tokens", "/max_tokens"},
    {"/stop", "/stop_sequences"},
    {"/reasoning_effort", "/output_config/effort"},
};

// Claude Code writes a line of its own version and a checksum, new in each request, before its
// system text. It says nothing to a model and would keep the prefix cache from finding what
// follows.
constexpr std::string_view kBilling = "x-anthropic-billing-header:";

// A text, or blocks of type text.
Result<std::string> read_text(const json::value& value, const std::string& place) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_array()) return mismatch(place, "string", value);
  std::string out;
  const json::array& blocks = value.get_array();
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}/{}", place, i);
    const json::object* block = blocks[i].if_object();
    if (!block) return mismatch(here, "object", blocks[i]);
    VERGE_ASSIGN(type, text_of(*block, "type", here, "type,text"));
    if (type != "text")
      return not_built(here,
                       fmt::format("content of type {:.32}; this model reads text only", type));
    VERGE_ASSIGN(text, text_of(*block, "text", here, "type,text"));
    if (text.starts_with(kBilling)) continue;
    if (!out.empty()) out += '\n';
    out += text;
  }
  return out;
}

class ChatReader {
 public:
  Result<Chat> read(const json::object& body) {
    if (const json::value* system = present(body, "system")) {
      VERGE_ASSIGN(text, read_text(*system, "/system"));
      if (!text.empty()) chat_.add("system", json::value(text), "/system");
    }
    const json::value* messages = present(body, "messages");
    if (!messages) return missing("/", "model,max_tokens,messages");
    if (!messages->is_array()) return mismatch("/messages", "array", *messages);
    const json::array& list = messages->get_array();
    if (list.empty()) return fail_at(Code::InvalidInput, "/messages", "minItems at '/messages' is 1, got 0");
    for (size_t i = 0; i < list.size(); ++i)
      VERGE_TRY(message(list[i], fmt::format("/messages/{}", i)));
    if (chat_.messages.empty() || chat_.messages.back().at("role") == "assistant")
      return not_built(
          fmt::format("/messages/{}", list.size() - 1),
          "the last message must be the user's; an answer begins a message of its own");
    return std::move(chat_);
  }

 private:
  Result<void> message(const json::value& value, const std::string& place) {
    const json::object* message = value.if_object();
    if (!message) return mismatch(place, "object", value);
    VERGE_ASSIGN(role, text_of(*message, "role", place, "role,content"));
    const json::value* content = present(*message, "content");
    if (role != "user" && role != "assistant" && role != "system")
      return fail_at(Code::InvalidInput, fmt::format("{}/role", place), "enum {:.32} not in user,assistant at '{}/role'", role,
                  place);
    if (!content) return missing(place, "role,content");
    thought_.clear();
    if (content->is_string()) {
      text(role, std::string(content->get_string()), place);
      return {};
    }
    if (!content->is_array()) return mismatch(place + "/content", "string", *content);
    if (content->get_array().empty())
      return fail_at(Code::InvalidInput, fmt::format("{}/content", place), "minItems at '{}/content' is 1, got 0", place);
    for (size_t i = 0; i < content->get_array().size(); ++i)
      VERGE_TRY(block(content->get_array()[i], role, fmt::format("{}/content/{}", place, i)));
    if (!thought_.empty()) think(chat_.add("assistant", "", place));
    return {};
  }

  Result<void> block(const json::value& value, const std::string& role, const std::string& place) {
    const json::object* block = value.if_object();
    if (!block) return mismatch(place, "object", value);
    VERGE_ASSIGN(type, text_of(*block, "type", place, "type"));
    if (type == "text") {
      VERGE_ASSIGN(piece, text_of(*block, "text", place, "type,text"));
      text(role, std::move(piece), place);
      return {};
    }
    if (type == "tool_use" && role == "assistant") return tool_use(*block, place);
    if (type == "tool_result" && role == "user") return tool_result(*block, place);
    if (type == "thinking" && role == "assistant") {
      VERGE_ASSIGN(thought, text_of(*block, "thinking", place, "type,thinking"));
      thought_ += thought;
      return {};
    }
    if (type == "redacted_thinking" && role == "assistant")
      return {};  // nothing that a model here could read
    return not_built(
        place,
        fmt::format("content of type {:.32} in a message of the {}; this model reads text only",
                    type, role));
  }

  // Turns of one role that follow each other are one, as published.
  void text(const std::string& role, std::string piece, const std::string& place) {
    json::object* last = chat_.messages.empty() ? nullptr : chat_.messages.back().if_object();
    if (last && last->at("role") == json::string(role) && !last->contains("tool_calls")) {
      json::string& before = last->at("content").get_string();
      if (!before.empty()) before += '\n';
      before += piece;
      if (role == "assistant") think(*last);
      return;
    }
    json::object& added = chat_.add(role, json::value(piece), place);
    if (role == "assistant") think(added);
  }

  Result<void> tool_use(const json::object& block, const std::string& place) {
    constexpr std::string_view kRequired = "type,id,name,input";
    VERGE_ASSIGN(id, text_of(block, "id", place, kRequired));
    VERGE_ASSIGN(name, text_of(block, "name", place, kRequired));
    const json::value* input = present(block, "input");
    if (!input) return missing(place, kRequired);
    if (!input->is_object()) return mismatch(place + "/input", "object", *input);
    ids_.insert(id);
    const bool goes_on =
        !chat_.messages.empty() && chat_.messages.back().at("role") == "assistant";
    think(goes_on ? chat_.messages.back().get_object() : chat_.add("assistant", "", place));
    chat_.call(id, name, *input, place);
    return {};
  }

  Result<void> tool_result(const json::object& block, const std::string& place) {
    VERGE_ASSIGN(id, text_of(block, "tool_use_id", place, "type,tool_use_id"));
    if (!ids_.contains(id))
      return fail_at(Code::InvalidInput, fmt::format("{}/tool_use_id", place),
                  "'{}/tool_use_id': no tool_use block before it has the id {:.64}", place, id);
    std::string text;
    if (const json::value* content = present(block, "content")) {
      VERGE_ASSIGN(read, read_text(*content, place + "/content"));
      text = std::move(read);
    }
    chat_.add("tool", json::value(text), place)["tool_call_id"] = id;
    return {};
  }

  // Thoughts between the blocks of one turn are that turn's.
  void think(json::object& message) {
    if (thought_.empty()) return;
    std::string all = get_string(message, "reasoning_content").value_or("");
    if (!all.empty()) all += '\n';
    message["reasoning_content"] = all + std::exchange(thought_, "");
  }

  Chat chat_;
  std::set<std::string> ids_;  // of calls
  std::string thought_;        // of the message that is read
};

// [{name, description, input_schema}] -> [{type: function, name, description, parameters}]
Result<json::array> chat_tools(const json::value& value) {
  const json::array* tools = value.if_array();
  if (!tools) return mismatch("/tools", "array", value);
  json::array out;
  for (size_t i = 0; i < tools->size(); ++i) {
    const std::string place = fmt::format("/tools/{}", i);
    const json::object* tool = (*tools)[i].if_object();
    if (!tool) return mismatch(place, "object", (*tools)[i]);
    VERGE_TRY(check_type(*tool, "type", FieldType::Text, place));
    VERGE_TRY(check_type(*tool, "strict", FieldType::Flag, place));
    VERGE_TRY(check_type(*tool, "cache_control", FieldType::Object, place));
    const std::string type = get_string(*tool, "type").value_or("custom");
    if (type != "custom")
      return not_built(
          place + "/type",
          fmt::format("tools of type {:.64}; send your own with 'input_schema'", type));
    json::object function{{"type", "function"}};
    for (const char* name : {"name", "description"})
      if (const json::value* member = present(*tool, name)) function[name] = *member;
    const json::value* schema = present(*tool, "input_schema");
    if (!schema) return missing(place, "name,input_schema");
    function["parameters"] = *schema;
    out.push_back(std::move(function));
  }
  return out;
}

// {type: auto|any|tool|none, name, disable_parallel_tool_use}
Result<void> read_choice(const json::object& choice, json::object& chat) {
  const std::string type = get_string(choice, "type").value_or("");
  if (type != "auto" && type != "any" && type != "tool" && type != "none")
    return fail_at(Code::InvalidInput, "/tool_choice/type", "enum {:.32} not in auto,any,tool,none at '/tool_choice/type'",
                type);
  VERGE_TRY(check_type(choice, "disable_parallel_tool_use", FieldType::Flag, "/tool_choice"));
  if (get_bool(choice, "disable_parallel_tool_use").value_or(false))
    chat["parallel_tool_calls"] = false;
  if (type != "tool") {
    chat["tool_choice"] = type == "any" ? "required" : type;
    return {};
  }
  VERGE_ASSIGN(name, text_of(choice, "name", "/tool_choice", "type,name"));
  chat["tool_choice"] = json::object{{"type", "function"}, {"name", name}};
  return {};
}

// {effort, format: {type: json_schema, schema}}; `output_format` is the older name of the latter.
Result<void> read_output(Params& in, json::object& chat) {
  const json::object* config = in.object("output_config");
  const json::object* format = in.object("output_format");
  if (!in.ok()) return in.error();
  if (config) {
    if (const json::value* effort = present(*config, "effort")) chat["reasoning_effort"] = *effort;
    if (const json::value* value = present(*config, "format")) {
      if (!value->is_object()) return mismatch("/output_config/format", "object", *value);
      format = &value->get_object();
    }
    for (const auto& [key, value] : *config)
      if (key != "effort" && key != "format" && !value.is_null())
        return not_built(fmt::format("/output_config/{:.64}", std::string_view(key)));
  }
  if (!format) return {};
  const json::value* schema = present(*format, "schema");
  if (get_string(*format, "type") != "json_schema" || !schema)
    return fail_at(Code::InvalidInput, "/output_config/format",
                "'/output_config/format' must have type json_schema and a schema");
  chat["response_format"] =
      json::object{{"type", "json_schema"},
                   {"json_schema", json::object{{"name", "output"}, {"schema", *schema}}}};
  return {};
}

// Whether it thinks; how much is `output_config.effort`.
Result<void> read_thinking(Params& in, json::object& chat) {
  const json::object* thinking = in.object("thinking");
  if (!thinking) return {};
  VERGE_TRY(check_type(*thinking, "budget_tokens", FieldType::Whole, "/thinking"));
  const std::string type = get_string(*thinking, "type").value_or("");
  if (type != "enabled" && type != "adaptive" && type != "disabled")
    return fail_at(Code::InvalidInput, "/thinking/type",
                "enum {:.32} not in enabled,adaptive,disabled at '/thinking/type'", type);
  if (type == "disabled") chat["reasoning_effort"] = "none";
  if (type == "enabled") chat.emplace("reasoning_effort", "medium");
  return {};
}

}  // namespace

std::string_view effort_name(const json::object& body) {
  const json::object* config = get_object(body, "output_config");
  return config && present(*config, "effort") ? "/output_config/effort" : "/thinking";
}

Result<TextRequest> read_request(const json::object& body, const catalogue::Entry& entry,
                                 bool counting) {
  VERGE_ASSIGN(ignored, check_parameters(Surface::Messages, body));
  Params in(body);
  VERGE_ASSIGN(chat, ChatReader().read(body));
  json::object sent;
  copy_same(body, sent);
  const auto most = in.integer("max_tokens", counting ? 0 : 1, INT64_MAX);
  if (!in.ok()) return in.error();
  if (!most && !counting) return missing("/", "model,max_tokens,messages");
  if (most) sent["max_completion_tokens"] = *most;
  if (counting) sent.erase("stream");
  if (const json::value* stop = in.find("stop_sequences")) {
    if (!stop->is_array()) return mismatch("/stop_sequences", "array", *stop);
    if (!counting && !stop->get_array().empty()) sent["stop"] = *stop;
  }
  if (const json::value* tools = in.find("tools")) {
    VERGE_ASSIGN(list, chat_tools(*tools));
    sent["tools"] = std::move(list);
  }
  if (const json::object* choice = in.object("tool_choice")) VERGE_TRY(read_choice(*choice, sent));
  VERGE_TRY(read_output(in, sent));
  VERGE_TRY(read_thinking(in, sent));
  if (!in.ok()) return in.error();
  auto text = parse_as_chat(std::move(sent), std::move(chat), entry, kNames, "input_schema");
  if (text) text->ignored.insert(text->ignored.begin(), ignored.begin(), ignored.end());
  return text;
}

}  // namespace verge::api::messages
