// Text generation between api and worker: the typed part of Request.params that says which
// functions the model may call and how it thinks, and the pieces of an answer that are more than
// text.
//
// An answer's pieces travel in two ways. Text alone is protocol::Token's text. A token that gives
// anything else (a piece of thought, of a call) has its ids in a Token without text, and then one
// protocol::Part for each of its pieces, in order. A worker that resumes an answer repeats the
// Parts of the ids that it was given, and the router leaves out those that the client has, so that
// the pieces after a node's death are those that would have come.
//
// An answer that ended at one of the request's stop strings has a Result: {"stop": the string}.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

struct Tool {
  std::string name;
  std::string description;  // empty: none
  json::object
      parameters;  // a JSON Schema of the arguments; empty: none was given, there are no arguments
  std::string at;  // JSON pointer of the schema in the client's request, for messages
  bool operator==(const Tool&) const = default;
};

enum class ToolMode { Auto, None, Required };  // Required: the answer is a call

struct ToolChoice {
  ToolMode mode = ToolMode::Auto;
  std::vector<std::string> names;  // that may be called; empty: all
  bool operator==(const ToolChoice&) const = default;
};

// Request.params: "tools", "tool_choice", "parallel_tool_calls"; all absent where there are no
// tools.
struct Tools {
  std::vector<Tool> tools;
  ToolChoice choice;
  bool parallel = true;  // false: at most one call
  bool operator==(const Tools&) const = default;
};
void put_tools(const Tools& tools, json::object& params);
verge::Result<Tools> get_tools(
    const json::object& params);  // errors: InvalidInput, for what put_tools() does not write

// Request.params: "messages". Each has role (system, user, assistant, tool) and content (text, or
// null beside tool_calls). An assistant's may have "tool_calls": [{id, type: "function", function:
// {name, arguments: {object}}}] and "reasoning_content"; a tool's has "name" and, where the client
// has ids, "tool_call_id". This is what chat templates take. Request.params: "reasoning_effort":
// none, minimal, low, medium, high, xhigh, max; "chat_template_kwargs": variables.

struct ToolCall {
  std::string id, name;
  std::string arguments;  // as the model wrote them, or as JSON where its own spelling is another
  bool operator==(const ToolCall&) const = default;
};

// A piece of an answer.
struct Delta {
  enum class Kind { Text, Reasoning, Call, Arguments };
  Kind kind = Kind::Text;
  size_t index = 0;      // of the call, from 0; calls do not interleave
  std::string id, name;  // of a Call, which begins one
  std::string text;      // a piece of the text, of the thought or of the arguments
  bool operator==(const Delta&) const = default;
};
// {"text"} | {"reasoning"} | {"call", "id", "name"} | {"call", "arguments"}
json::value to_json(const Delta& delta);
std::optional<Delta> delta_from_json(
    const json::value& value);  // nullopt: the Part is of another kind

// What the pieces of a whole answer come to, beside its text.
struct Generated {
  std::string reasoning;
  std::vector<ToolCall> calls;
  void add(const Delta& delta);  // Text is not kept here
};

}  // namespace verge::protocol
