#include "api/tasks/as_chat.h"

#include <optional>

#include "api/tasks/openai_text.h"

namespace verge::api {
namespace {

constexpr std::string_view kSame[] = {
    "temperature",        "top_p",
    "top_k",              "min_p",
    "repetition_penalty", "frequency_penalty",
    "presence_penalty",   "seed",
    "logit_bias",         "ignore_eos",
    "chat_template_kwargs", "stream"};

bool continues(std::string_view pointer, std::string_view prefix) {
  return pointer.starts_with(prefix) &&
         (pointer.size() == prefix.size() || pointer[prefix.size()] == '/');
}

// Cuts "PREFIX7" off the front, and gives the 7.
std::optional<size_t> take_index(std::string_view& pointer, std::string_view prefix) {
  if (!pointer.starts_with(prefix)) return std::nullopt;
  size_t index = 0, at = prefix.size();
  for (; at < pointer.size() && at < prefix.size() + 9 && pointer[at] >= '0' && pointer[at] <= '9';
       ++at)
    index = index * 10 + static_cast<size_t>(pointer[at] - '0');
  if (at == prefix.size()) return std::nullopt;
  pointer.remove_prefix(at);
  return index;
}

class Naming {
 public:
  Naming(const Chat& chat, OwnNames names, std::string_view tool_schema)
      : chat_(chat), names_(names), tool_schema_(tool_schema) {}

  std::string pointer(std::string_view pointer) const {
    std::string_view rest = pointer;
    if (const auto index = take_index(rest, "/messages/"); index && *index < chat_.places.size()) {
      std::string_view within = rest;
      const auto call = take_index(within, "/tool_calls/");
      if (!call || *call >= chat_.calls[*index].size())
        return chat_.places[*index] + std::string(rest);
      if (continues(within, "/function")) within.remove_prefix(9);
      return chat_.calls[*index][*call] + std::string(within);
    }
    if (const auto index = take_index(rest, "/tools/"); index && continues(rest, "/parameters"))
      return fmt::format("/tools/{}/{}{}", *index, tool_schema_, rest.substr(11));
    for (const auto& [chats, own] : names_)
      if (continues(pointer, chats))
        return std::string(own) + std::string(pointer.substr(chats.size()));
    return std::string(pointer);
  }

  // The pointer, and those that the sentence names beside it.
  Error error(Error error) const {
    std::string out;
    std::string_view rest = error.message;
    for (size_t at = rest.find("'/"); at != rest.npos; at = rest.find("'/")) {
      const size_t end = rest.find('\'', at + 2);
      if (end == rest.npos) break;
      out += rest.substr(0, at + 1);
      out += pointer(rest.substr(at + 1, end - at - 1));
      out += '\'';
      rest.remove_prefix(end + 1);
    }
    error.message = out + std::string(rest);
    error.pointer = pointer(error.pointer);
    return error;
  }

 private:
  const Chat& chat_;
  OwnNames names_;
  std::string_view tool_schema_;
};

}  // namespace

json::object& Chat::add(std::string_view role, json::value content, std::string place) {
  messages.push_back(json::object{{"role", role}, {"content", std::move(content)}});
  places.push_back(std::move(place));
  calls.emplace_back();
  return messages.back().get_object();
}

void Chat::call(std::string_view id, std::string_view name, json::value arguments,
                std::string place) {
  json::value& list = messages.back().get_object()["tool_calls"];
  if (!list.is_array()) list = json::array();
  json::object function{{"name", name}, {"arguments", std::move(arguments)}};
  list.get_array().push_back(
      json::object{{"id", id}, {"type", "function"}, {"function", std::move(function)}});
  calls.back().push_back(std::move(place));
}

void copy_same(const json::object& body, json::object& chat) {
  for (std::string_view name : kSame)
    if (const json::value* value = body.if_contains(name); value && !value->is_null())
      chat[name] = *value;
}

Error in_own_names(Error error, OwnNames names) {
  const Chat none;
  return Naming(none, names, "parameters").error(std::move(error));
}

Result<TextRequest> parse_as_chat(json::object body, Chat chat, const catalogue::Entry& entry,
                                  OwnNames names, std::string_view tool_schema) {
  const Naming naming(chat, names, tool_schema);
  body["messages"] = std::move(chat.messages);
  auto text = parse_openai_chat(body, entry);
  if (!text) return naming.error(text.error());
  // Errors of the worker quote these.
  if (text->params.grammar) text->params.grammar->at = naming.pointer(text->params.grammar->at);
  for (protocol::Tool& tool : text->params.tools.tools) tool.at = naming.pointer(tool.at);
  return text;
}

}  // namespace verge::api
