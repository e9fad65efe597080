// What the description of the API cannot take from other tables: the shapes of answers, and the types of
// parameters that no published schema has. JSON Schema 2020-12.
#pragma once

#include <string_view>

namespace verge::api {

// Answers and errors by name; references are to `#/components/schemas/`.
inline constexpr std::string_view kAnswerSchemas = R"json({
  "RestAnswer": {"type": "object", "required": ["result", "success", "errors", "messages"], "properties": {
    "result": {}, "success": {"type": "boolean"}, "errors": {"type": "array", "items": {"$ref": "#/components/schemas/RestProblem"}},
    "messages": {"type": "array", "items": {}}}},
  "RestProblem": {"type": "object", "required": ["code", "message"], "properties": {
    "code": {"type": "integer", "description": "A published code; the documentation lists them."}, "message": {"type": "string"}}},
  "OpenAiError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object", "required": ["message", "type"], "properties": {
    "message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]},
    "code": {"type": ["string", "integer", "null"]}}}}},
  "AnthropicError": {"type": "object", "required": ["type", "error"], "properties": {"type": {"type": "string"}, "error": {"type": "object",
    "properties": {"type": {"type": "string"}, "message": {"type": "string"}}}}},
  "BindingError": {"type": "object", "properties": {"internalCode": {"type": "integer"}, "name": {"type": "string"},
    "description": {"type": "string"}}},
  "TokenUsage": {"type": "object", "properties": {"prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
    "total_tokens": {"type": "integer"}}},
  "ChatCompletion": {"type": "object", "required": ["id", "object", "model", "choices"], "properties": {
    "id": {"type": "string"}, "object": {"type": "string"}, "created": {"type": "integer"}, "model": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "object", "required": ["index", "message"], "properties": {
      "index": {"type": "integer"}, "finish_reason": {"type": ["string", "null"]}, "message": {"type": "object", "required": ["role"], "properties": {
        "role": {"type": "string"}, "content": {"type": ["string", "null"]}, "reasoning_content": {"type": "string"},
        "tool_calls": {"type": "array", "items": {"type": "object"}}}}}}},
    "usage": {"$ref": "#/components/schemas/TokenUsage"}}},
  "Completion": {"type": "object", "required": ["id", "object", "model", "choices"], "properties": {
    "id": {"type": "string"}, "object": {"type": "string"}, "created": {"type": "integer"}, "model": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "object", "required": ["index", "text"], "properties": {
      "index": {"type": "integer"}, "text": {"type": "string"}, "finish_reason": {"type": ["string", "null"]}}}},
    "usage": {"$ref": "#/components/schemas/TokenUsage"}}},
  "EmbeddingList": {"type": "object", "required": ["object", "data", "model"], "properties": {
    "object": {"type": "string"}, "model": {"type": "string"}, "usage": {"$ref": "#/components/schemas/TokenUsage"},
    "data": {"type": "array", "items": {"type": "object", "required": ["index", "embedding"], "properties": {
      "object": {"type": "string"}, "index": {"type": "integer"},
      "embedding": {"oneOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "description": "base64 of float32"}]}}}}}},
  "ModelObject": {"type": "object", "required": ["id", "object"], "properties": {"id": {"type": "string"}, "object": {"type": "string"},
    "created": {"type": "integer"}, "owned_by": {"type": "string"}, "available": {"type": "boolean"}}},
  "ModelList": {"type": "object", "required": ["object", "data"], "properties": {"object": {"type": "string"},
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/ModelObject"}}}},
  "Transcript": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "language": {"type": "string"},
    "duration": {"type": "number"}, "words": {"type": "array", "items": {"type": "object"}}, "segments": {"type": "array", "items": {"type": "object"}}}},
  "ResponseObject": {"type": "object", "required": ["id", "object", "status", "output"], "properties": {"id": {"type": "string"},
    "object": {"type": "string"}, "status": {"type": "string"}, "model": {"type": "string"},
    "output": {"type": "array", "items": {"type": "object"}}, "usage": {"type": ["object", "null"]}}},
  "ItemList": {"type": "object", "properties": {"object": {"type": "string"}, "data": {"type": "array", "items": {"type": "object"}},
    "has_more": {"type": "boolean"}}},
  "Deleted": {"type": "object", "properties": {"id": {"type": "string"}, "object": {"type": "string"}, "deleted": {"type": "boolean"}}},
  "MessageObject": {"type": "object", "required": ["id", "type", "role", "content"], "properties": {"id": {"type": "string"},
    "type": {"type": "string"}, "role": {"type": "string"}, "model": {"type": "string"}, "stop_reason": {"type": ["string", "null"]},
    "content": {"type": "array", "items": {"type": "object"}}, "usage": {"type": "object"}}},
  "TokenCount": {"type": "object", "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer"}}},
  "State": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}},
  "ServerStatus": {"type": "object", "properties": {"name": {"type": "string"}, "state": {"type": "string"},
    "memory_budget_bytes": {"type": "integer"}, "memory_reserved_bytes": {"type": "integer"}, "models": {"type": "array", "items": {"type": "object"}},
    "workers": {"type": "array", "items": {"type": "object"}}, "cluster": {"type": "object"}}},
  "NodeList": {"type": "array", "items": {"type": "object", "required": ["name", "state"], "properties": {"name": {"type": "string"},
    "region": {"type": "string"}, "state": {"type": "string"}, "rtt_ms": {"type": "number"}, "latitude": {"type": "number"},
    "longitude": {"type": "number"}, "memory_free_bytes": {"type": "integer"}, "under_way": {"type": "integer"},
    "models": {"type": "array", "items": {"type": "object"}}}}},
  "Anything": {"description": "As the published service answers; see the documentation."}
})json";

// Parameters by name.
inline constexpr std::string_view kParameterTypes = R"json({
  "model": {"type": "string", "description": "A model's id, as the list of models has it."},
  "messages": {"type": "array", "description": "The conversation so far.", "items": {"type": "object", "required": ["role"], "properties": {
    "role": {"type": "string"}, "content": {"description": "A text, or a list of parts."}}}},
  "prompt": {"description": "A text, or a list of texts."},
  "input": {"description": "A text, or a list of texts or items."},
  "stop": {"description": "A text at which the answer ends, or a list of them."},
  "stop_sequences": {"type": "array", "items": {"type": "string"}},
  "system": {"description": "A text, or a list of blocks of text."},
  "stream": {"type": "boolean", "description": "Answer as server-sent events."},
  "max_completion_tokens": {"type": "integer"}, "max_tokens": {"type": "integer", "description": "Tokens that are written at most."},
  "max_output_tokens": {"type": "integer"}, "n": {"type": "integer", "minimum": 1, "maximum": 128},
  "temperature": {"type": "number", "minimum": 0, "maximum": 2}, "top_p": {"type": "number"}, "top_k": {"type": "integer"},
  "min_p": {"type": "number", "minimum": 0, "maximum": 1}, "seed": {"type": "integer"},
  "repetition_penalty": {"type": "number"}, "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
  "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2}, "top_logprobs": {"type": "integer"},
  "stream_options": {"type": "object"}, "logit_bias": {"type": "object"}, "options": {"type": "object"},
  "response_format": {"type": "object", "description": "JSON mode."}, "guided_json": {"type": "object"}, "guided_regex": {"type": "string"},
  "guided_choice": {"type": "array", "items": {"type": "string"}}, "tools": {"type": "array", "items": {"type": "object"}},
  "parallel_tool_calls": {"type": "boolean"}, "chat_template_kwargs": {"type": "object"}, "reasoning_effort": {"type": "string"},
  "ignore_eos": {"type": "boolean"}, "echo": {"type": "boolean"}, "metadata": {"type": "object"}, "user": {"type": "string"},
  "instructions": {"type": "string"}, "previous_response_id": {"type": "string"}, "store": {"type": "boolean"}, "text": {"type": "object"},
  "reasoning": {"type": "object"}, "include": {"type": "array", "items": {"type": "string"}}, "encoding_format": {"type": "string"},
  "dimensions": {"type": "integer"}, "voice": {"description": "A voice's name, or an object with its id."}, "speed": {"type": "number"}, "file": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
  "language": {"type": "string"}, "initial_prompt": {"type": "string"}, "prefix": {"type": "string"}, "thinking": {"type": "object"}
})json";

}  // namespace verge::api
