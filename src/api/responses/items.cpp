#include "api/responses/items.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "api/errors.h"
#include "api/tasks/fields.h"
#include "api/tasks/params.h"
#include "support/responses_limits.h"

namespace verge::api::responses {
namespace {

constexpr size_t kInputIds = 0x8000;  // ids of output items lie before

class ItemReader {
 public:
  ItemReader(std::string_view seed, std::vector<std::string>& ignored)
      : seed_(seed), ignored_(ignored) {}

  Result<json::object> read(const json::value& value, size_t index) {
    place_ = fmt::format("/input/{}", index);
    index_ = index;
    const json::object* item = value.if_object();
    if (!item) return mismatch(place_, "object", value);
    const json::value* type = present(*item, "type");
    if (type && !type->is_string()) return mismatch(place_ + "/type", "string", *type);
    const std::string name = type ? std::string(type->get_string())
                             : item->contains("role") || !item->contains("id") ? "message"
                                                                               : "item_reference";
    if (name == "message") return message(*item);
    if (name == "function_call") return function_call(*item);
    if (name == "function_call_output") return function_call_output(*item);
    if (name == "reasoning") return reasoning(*item);
    if (name == "item_reference") return reference(*item);
    return not_built(place_ + "/type",
                     fmt::format("items of type {:.64}; message, function_call, "
                                 "function_call_output, reasoning and item_reference are",
                                 name));
  }

 private:
  // id and status, with what is missing filled in; names that are not among `known` are noted.
  Result<json::object> begin(const json::object& item, std::string_view type,
                             std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : item)
      if (key != "type" && key != "id" && key != "status" &&
          std::ranges::find(known, std::string_view(key)) == known.end())
        ignored_.push_back("input." + std::string(key));
    json::object out{{"type", type}};
    const json::value* id = present(item, "id");
    if (id && !id->is_string()) return mismatch(place_ + "/id", "string", *id);
    if (id && id->get_string().size() > limits::kItemIdBytes)
      return fail_at(Code::InvalidInput, fmt::format("{}/id", place_), "Length of '{}/id' must be <= {}", place_,
                  limits::kItemIdBytes);
    out["id"] = id && !id->get_string().empty() ? std::string(id->get_string())
                                                : input_item_id(type, seed_, index_);
    out["status"] = "completed";
    if (const json::value* status = present(item, "status")) {
      if (!status->is_string()) return mismatch(place_ + "/status", "string", *status);
      if (*status != "completed" && *status != "incomplete" && *status != "in_progress")
        return fail_at(Code::InvalidInput, fmt::format("{}/status", place_),
                    "enum {:.32} not in in_progress,completed,incomplete at '{}/status'",
                    std::string(status->get_string()), place_);
      out["status"] = *status;
    }
    return out;
  }

  Result<json::object> message(const json::object& item) {
    VERGE_ASSIGN(out, begin(item, "message", {"role", "content", "phase"}));
    VERGE_ASSIGN(role, text_of(item, "role", place_, "role,content"));
    if (role != "user" && role != "assistant" && role != "system" && role != "developer")
      return fail_at(Code::InvalidInput, fmt::format("{}/role", place_),
                  "enum {:.32} not in user,assistant,system,developer at '{}/role'", role, place_);
    const json::value* content = present(item, "content");
    if (!content) return missing(place_, "role,content");
    VERGE_ASSIGN(parts, read_parts(*content, place_ + "/content", role == "assistant"));
    out["role"] = role;
    out["content"] = std::move(parts);
    return out;
  }

  static Result<json::array> read_parts(const json::value& content, const std::string& place,
                                        bool written) {
    json::array out;
    if (content.is_string()) {
      out.push_back(text_part(content.get_string(), written));
      return out;
    }
    if (!content.is_array()) return mismatch(place, "string", content);
    const json::array& parts = content.get_array();
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string here = fmt::format("{}/{}", place, i);
      const json::object* part = parts[i].if_object();
      if (!part) return mismatch(here, "object", parts[i]);
      VERGE_ASSIGN(type, text_of(*part, "type", here, "type"));
      if (type == "refusal") {
        VERGE_ASSIGN(text, text_of(*part, "refusal", here, "type,refusal"));
        out.push_back(json::object{{"type", "refusal"}, {"refusal", text}});
        continue;
      }
      if (type != "input_text" && type != "output_text" && type != "text")
        return not_built(here,
                         fmt::format("content of type {:.32}; this model reads text only", type));
      VERGE_ASSIGN(text, text_of(*part, "text", here, "type,text"));
      out.push_back(text_part(text, written));
    }
    return out;
  }

  static json::object text_part(std::string_view text, bool written) {
    if (written)
      return {{"type", "output_text"},
              {"text", text},
              {"annotations", json::array()},
              {"logprobs", json::array()}};
    return {{"type", "input_text"}, {"text", text}};
  }

  Result<json::object> function_call(const json::object& item) {
    constexpr std::string_view kRequired = "call_id,name,arguments";
    VERGE_ASSIGN(out, begin(item, "function_call", {"call_id", "name", "arguments"}));
    VERGE_ASSIGN(call_id, text_of(item, "call_id", place_, kRequired));
    VERGE_ASSIGN(name, text_of(item, "name", place_, kRequired));
    VERGE_ASSIGN(arguments, text_of(item, "arguments", place_, kRequired));
    out["call_id"] = call_id;
    out["name"] = name;
    out["arguments"] = arguments;
    return out;
  }

  Result<json::object> function_call_output(const json::object& item) {
    VERGE_ASSIGN(out, begin(item, "function_call_output", {"call_id", "output"}));
    VERGE_ASSIGN(call_id, text_of(item, "call_id", place_, "call_id,output"));
    const json::value* output = present(item, "output");
    if (!output) return missing(place_, "call_id,output");
    out["call_id"] = call_id;
    if (output->is_string()) {
      out["output"] = *output;
      return out;
    }
    VERGE_ASSIGN(parts, read_parts(*output, place_ + "/output", false));
    out["output"] = std::move(parts);
    return out;
  }

  // What a model thought earlier: its text is kept; what another service encrypted cannot be read
  // and says nothing here.
  Result<json::object> reasoning(const json::object& item) {
    VERGE_ASSIGN(out, begin(item, "reasoning", {"summary", "content", "encrypted_content"}));
    for (const char* name : {"summary", "content"}) {
      const json::value* value = present(item, name);
      if (value && !value->is_array())
        return mismatch(fmt::format("{}/{}", place_, name), "array", *value);
      json::array parts;
      for (size_t i = 0; value && i < value->get_array().size(); ++i) {
        const std::string here = fmt::format("{}/{}/{}", place_, name, i);
        const json::value& one = value->get_array()[i];
        if (!one.is_object()) return mismatch(here, "object", one);
        VERGE_ASSIGN(text, text_of(one.get_object(), "text", here, "type,text"));
        parts.push_back(json::object{
            {"type", std::string_view(name) == "summary" ? "summary_text" : "reasoning_text"},
            {"text", text}});
      }
      out[name] = std::move(parts);
    }
    return out;
  }

  Result<json::object> reference(const json::object& item) {
    VERGE_ASSIGN(id, text_of(item, "id", place_, "id"));
    if (id.empty() || id.size() > limits::kItemIdBytes)
      return fail_at(Code::InvalidInput, fmt::format("{}/id", place_), "Length of '{}/id' must be >= 1 and <= {}", place_,
                  limits::kItemIdBytes);
    return json::object{{"type", "item_reference"}, {"id", id}};
  }

  std::string_view seed_;
  std::vector<std::string>& ignored_;
  std::string place_;
  size_t index_ = 0;
};

// Parts of text as a chat has them; one alone is the text itself.
json::value chat_content(const json::array& parts) {
  json::array out;
  for (const json::value& part : parts) {
    const json::object& object = part.get_object();
    if (auto refusal = get_string(object, "refusal"))
      out.push_back(json::object{{"type", "refusal"}, {"refusal", *refusal}});
    else
      out.push_back(
          json::object{{"type", "text"}, {"text", get_string(object, "text").value_or("")}});
  }
  if (out.empty()) return "";
  if (out.size() == 1 && out[0].at("type") == "text") return out[0].at("text");
  return out;
}

std::string joined(const json::array& parts) {
  std::string out;
  for (const json::value& part : parts)
    out += (out.empty() ? "" : "\n") + get_string(part.get_object(), "text").value_or("");
  return out;
}

class ChatWriter {
 public:
  explicit ChatWriter(const std::optional<std::string>& instructions) {
    if (instructions && !instructions->empty())
      chat_.add("system", json::value(*instructions), "/instructions");
  }

  Result<void> item(const json::object& item, const std::string& place) {
    const std::string type = get_string(item, "type").value_or("");
    if (type == "message") message(item, place);
    else if (type == "function_call") call(item, place);
    else if (type == "function_call_output") return output(item, place);
    else if (type == "reasoning") thought(item);
    return {};
  }

  Chat take() { return std::move(chat_); }

 private:
  json::object* last() {
    return chat_.messages.empty() ? nullptr : chat_.messages.back().if_object();
  }

  void message(const json::object& item, const std::string& place) {
    std::string role = get_string(item, "role").value_or("user");
    if (role == "developer") role = "system";
    const json::array* parts = get_array(item, "content");
    json::value content = parts ? chat_content(*parts) : json::value("");
    json::object* before = last();
    const bool beginning =
        before && chat_.messages.size() == 1 && role == "system" && before->at("role") == "system";
    if (beginning && before->at("content").is_string() && parts) {
      json::string& text = before->at("content").get_string();
      text += "\n\n" + joined(*parts);
      return;
    }
    json::object& added = chat_.add(role, std::move(content), place);
    if (role == "assistant") think(added);
    else thought_.clear();
  }

  void call(const json::object& item, const std::string& place) {
    const std::string id = get_string(item, "call_id").value_or("");
    // One that `max_output_tokens` cut was never made: what there is of it is no JSON.
    if (item.at("status") == "incomplete" && !parse_json(item.at("arguments").as_string())) return;
    ids_.insert(id);
    json::object* before = last();
    const bool goes_on = before && before->at("role") == "assistant";
    think(goes_on ? *before : chat_.add("assistant", nullptr, place));
    chat_.call(id, get_string(item, "name").value_or(""), item.at("arguments"), place);
  }

  Result<void> output(const json::object& item, const std::string& place) {
    const std::string id = get_string(item, "call_id").value_or("");
    if (!ids_.contains(id))
      return fail_at(Code::InvalidInput, fmt::format("{}/call_id", place),
                  "'{}/call_id': no complete function_call before it has the call_id {:.64}", place,
                  id);
    const json::value& output = item.at("output");
    json::object& added =
        chat_.add("tool", output.is_array() ? chat_content(output.get_array()) : output, place);
    added["tool_call_id"] = id;
    return {};
  }

  void thought(const json::object& item) {
    for (const char* name : {"content", "summary"})
      if (const json::array* parts = get_array(item, name); parts && !parts->empty()) {
        join(thought_, joined(*parts));
        return;
      }
  }
  // Thoughts between the calls of one turn are that turn's.
  void think(json::object& message) {
    if (thought_.empty()) return;
    std::string all = get_string(message, "reasoning_content").value_or("");
    join(all, std::exchange(thought_, ""));
    message["reasoning_content"] = std::move(all);
  }
  static void join(std::string& text, const std::string& more) {
    if (!text.empty() && !more.empty()) text += '\n';
    text += more;
  }

  Chat chat_;
  std::set<std::string> ids_;  // of calls
  std::string thought_;        // of the assistant's message that comes next
};

}  // namespace

std::string item_id(std::string_view prefix, std::string_view seed, size_t index) {
  std::string out = fmt::format("{}_", prefix);
  for (const char c : seed)
    if (c != '-') out += c;
  return out + fmt::format("{:04x}", index);
}

std::string input_item_id(std::string_view type, std::string_view seed, size_t index) {
  const std::string_view prefix = type == "function_call"          ? "fc"
                                  : type == "function_call_output" ? "fco"
                                  : type == "reasoning"            ? "rs"
                                                                   : "msg";
  return item_id(prefix, seed, kInputIds + index);
}

Result<Items> read_input(const json::value& input, std::string_view id_seed,
                         std::vector<std::string>& ignored) {
  if (input.is_string())
    return read_input(json::array{json::object{{"role", "user"}, {"content", input}}}, id_seed,
                      ignored);
  if (!input.is_array()) return mismatch("/input", "string' or 'array", input);
  const json::array& list = input.get_array();
  if (list.size() > limits::kResponseItems)
    return fail_at(Code::InvalidInput, "/input", "maxItems at '/input' is {}, got {}", limits::kResponseItems,
                list.size());
  Items out;
  ItemReader reader(id_seed, ignored);
  for (size_t i = 0; i < list.size(); ++i) {
    VERGE_ASSIGN(item, reader.read(list[i], i));
    out.list.push_back(std::move(item));
    out.places.push_back(fmt::format("/input/{}", i));
  }
  std::ranges::sort(ignored);
  ignored.erase(std::unique(ignored.begin(), ignored.end()), ignored.end());
  return out;
}

Result<Chat> to_chat(const std::optional<std::string>& instructions, const Items& items) {
  ChatWriter writer(instructions);
  for (size_t i = 0; i < items.list.size(); ++i)
    VERGE_TRY(writer.item(items.list[i].get_object(), items.places[i]));
  return writer.take();
}

}  // namespace verge::api::responses
