// Routes whose requests become one of /v1/chat/completions: the chat, and where in the client's
// request its parts come from, so that errors name what the client wrote.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/tasks/text_generation.h"

namespace verge::api {

struct Chat {
  json::array messages;
  std::vector<std::string> places;              // of each message: a JSON pointer
  std::vector<std::vector<std::string>> calls;  // of each message's tool_calls

  // Adds a message, and returns it.
  json::object& add(std::string_view role, json::value content, std::string place);
  // Adds a call to the last message.
  void call(std::string_view id, std::string_view name, json::value arguments, std::string place);
};

// A chat's pointer and the client's; one continues the other: "/response_format", "/text/format".
// The first that fits counts.
using OwnNames = std::span<const std::pair<std::string_view, std::string_view>>;

// What the worker says of a chat's parameters, in the client's names.
Error in_own_names(Error error, OwnNames names);

// Puts what means the same on these routes as in a chat into `chat`: sampling, the template's
// variables, the stream.
void copy_same(const json::object& body, json::object& chat);

// `body` with `messages` of `chat` as a chat. `tool_schema`: what a tool's "parameters" are called.
// Errors, and the places that the worker's errors will name, are the client's.
Result<TextRequest> parse_as_chat(json::object body, Chat chat, const catalogue::Entry& entry,
                                  OwnNames names, std::string_view tool_schema = "parameters");

}  // namespace verge::api
