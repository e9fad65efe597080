// The JSON is built by hand where it is hot (tokens) and by Boost.JSON elsewhere. Text that is not valid
// UTF-8 (a token's raw bytes may be half a character) travels as hex under another key, because JSON
// has no bytes: "text" or "text_hex". Defaults are left out.
#include "protocol/frame.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/limits.h"
#include "support/utf8.h"

namespace verge::protocol {
namespace {

void put_u32(uint32_t value, char* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (8 * i));
}
uint32_t get_u32(std::string_view in) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= static_cast<uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  return value;
}

// RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
bool valid_utf8(std::string_view s) {
  size_t i = 0;
  while (i < s.size()) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || i + length > s.size()) return false;
    uint32_t code = c & (0x7f >> length);
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(s[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return false;
    if (length == 4 && (code < 0x10000 || code > 0x10ffff)) return false;
    i += length;
  }
  return true;
}

constexpr char kHex[] = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
  return out;
}

bool from_hex(std::string_view text, std::string& out) {
  if (text.size() % 2) return false;
  out.clear();
  for (size_t i = 0; i < text.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, ec] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (ec != std::errc() || end != text.data() + i + 2) return false;
    out += static_cast<char>(byte);
  }
  return true;
}

// ---- Writing tokens

void append_int(int64_t value, std::string& out) {
  char digits[24];
  const auto [end, ec] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

void append_float(float value, std::string& out) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "\"nan\"" : value < 0 ? "\"-inf\"" : "\"inf\"";
    return;
  }
  char digits[32];
  const auto [end, ec] = std::to_chars(digits, digits + sizeof digits, value);  // the shortest text that reads back as this float
  out.append(digits, end);
}

void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  out.append(text, plain);
  out += '"';
}

void append_text(std::string_view text, std::string& out) {
  if (valid_utf8(text)) {
    out += "\"text\":";
    append_quoted(text, out);
  } else {
    out += "\"text_hex\":\"";
    out += to_hex(text);
    out += '"';
  }
}

void append_candidate(const Candidate& candidate, std::string& out) {
  out += "{\"id\":";
  append_int(candidate.id, out);
  out += ",\"logprob\":";
  append_float(candidate.logprob, out);
  out += ',';
  append_text(candidate.text, out);
}

void append_token(const Token& token, std::string& out) {
  out += "{\"e\":\"token\",\"ids\":[";
  for (size_t i = 0; i < token.ids.size(); ++i) {
    if (i) out += ',';
    append_int(token.ids[i], out);
  }
  out += "],";
  append_text(token.text, out);
  if (!token.logprobs.empty()) {
    out += ",\"logprobs\":[";
    for (size_t i = 0; i < token.logprobs.size(); ++i) {
      if (i) out += ',';
      append_candidate(token.logprobs[i].chosen, out);
      out += ",\"top\":[";
      for (size_t k = 0; k < token.logprobs[i].top.size(); ++k) {
        if (k) out += ',';
        append_candidate(token.logprobs[i].top[k], out);
        out += '}';
      }
      out += "]}";
    }
    out += ']';
  }
  out += '}';
}

// ---- Writing the rest

json::object to_json(const Accepted& e) {
  json::object o{{"e", "accepted"}, {"prompt_tokens", e.prompt_tokens}, {"cached_tokens", e.cached_tokens}, {"node", e.node}, {"model", e.model}};
  if (e.substituted) o["substituted"] = true;
  if (!e.build.empty()) o["build"] = e.build;
  if (e.load) o["load"] = json::object{{"queued", e.load->queued}, {"running", e.load->running}, {"queued_tokens", e.load->queued_tokens}};
  return o;
}
template <class WithBlob>
json::object with_blob(const char* kind, const WithBlob& e) {
  json::object o{{"e", kind}, {"value", e.value}};
  if (!e.blob.content_type.empty()) o["content_type"] = e.blob.content_type;
  return o;
}
json::object to_json(const Part& e) { return with_blob("part", e); }
json::object to_json(const Result& e) { return with_blob("result", e); }

// Units that few tasks have.
struct UsageUnit {
  const char* key;
  int64_t Usage::*member;
};
constexpr UsageUnit kUsageUnits[] = {{"audio_ms", &Usage::audio_ms}, {"images", &Usage::images}, {"tiles", &Usage::tiles}, {"steps", &Usage::steps},
                                     {"characters", &Usage::characters}, {"encoder_us", &Usage::encoder_us}, {"decoder_us", &Usage::decoder_us}};

json::object to_json(const Usage& e) {
  json::object o{{"e", "usage"}, {"prompt_tokens", e.prompt_tokens}, {"completion_tokens", e.completion_tokens}, {"cached_tokens", e.cached_tokens}};
  for (const auto& [key, member] : kUsageUnits)
    if (e.*member) o[key] = e.*member;
  return o;
}
json::object to_json(const Failure& e) {
  json::object o{{"e", "error"}, {"code", to_string(e.error.code)}, {"message", lossy_utf8(e.error.message)}};
  if (e.error.requested) o["requested"] = e.error.requested;
  if (e.error.limit) o["limit"] = e.error.limit;
  if (e.error.retry_after_ms) o["retry_after_ms"] = e.error.retry_after_ms;
  if (!e.error.pointer.empty()) o["pointer"] = lossy_utf8(e.error.pointer);
  return o;
}
json::object to_json(const End& e) { return {{"e", "end"}, {"finish_reason", e.finish_reason}}; }

// ---- Reading

Error malformed(std::string_view what) { return fail(Code::InvalidInput, "malformed frame: {}", what); }

int64_t int_or_zero(const json::object& o, std::string_view key) { return get_int(o, key).value_or(0); }
std::string string_or_empty(const json::object& o, std::string_view key) { return get_string(o, key).value_or(""); }

verge::Result<std::vector<int32_t>> read_ids(const json::object& o, std::string_view key) {
  std::vector<int32_t> ids;
  const json::value* v = o.if_contains(key);
  if (!v) return ids;
  const json::array* array = v->if_array();
  if (!array) return malformed(key);
  ids.reserve(array->size());
  for (const json::value& item : *array) {
    const int64_t* id = item.if_int64();
    if (!id || *id < std::numeric_limits<int32_t>::min() || *id > std::numeric_limits<int32_t>::max()) return malformed(key);
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

bool read_text(const json::object& o, std::string& out) {
  if (const json::value* text = o.if_contains("text")) {
    if (!text->is_string()) return false;
    out = text->get_string();
    return true;
  }
  const auto hex = get_string(o, "text_hex");
  return hex && from_hex(*hex, out);
}

bool read_candidate(const json::object& o, Candidate& out) {
  const auto id = get_int(o, "id");
  if (!id || *id < std::numeric_limits<int32_t>::min() || *id > std::numeric_limits<int32_t>::max()) return false;
  out.id = static_cast<int32_t>(*id);
  const json::value* p = o.if_contains("logprob");
  if (!p) return false;
  if (p->is_number()) out.logprob = static_cast<float>(p->to_number<double>());
  else if (*p == "-inf") out.logprob = -std::numeric_limits<float>::infinity();
  else if (*p == "inf") out.logprob = std::numeric_limits<float>::infinity();
  else if (*p == "nan") out.logprob = std::numeric_limits<float>::quiet_NaN();
  else return false;
  return read_text(o, out.text);
}

verge::Result<Event> read_token(const json::object& o) {
  Token token;
  VERGE_ASSIGN(ids, read_ids(o, "ids"));
  token.ids = std::move(ids);
  if (!read_text(o, token.text)) return malformed("text");
  if (const json::array* list = get_array(o, "logprobs")) {
    for (const json::value& item : *list) {
      TokenLogprob& logprob = token.logprobs.emplace_back();
      const json::object* entry = item.if_object();
      if (!entry || !read_candidate(*entry, logprob.chosen)) return malformed("logprobs");
      const json::array* top = get_array(*entry, "top");
      if (!top) return malformed("logprobs");
      for (const json::value& other : *top)
        if (!other.is_object() || !read_candidate(other.get_object(), logprob.top.emplace_back())) return malformed("logprobs");
    }
  }
  return Event(std::move(token));
}

// The usual token, {"e":"token","ids":[1,2],"text":"…"} with no escape in its text, read without a JSON
// tree: ten times as fast, and most frames are of this kind. nullopt: read it the long way.
std::optional<Event> read_plain_token(std::string_view s) {
  static constexpr std::string_view kStart = "{\"e\":\"token\",\"ids\":[", kText = "],\"text\":\"", kEnd = "\"}";
  if (s.substr(0, kStart.size()) != kStart) return std::nullopt;
  const char* p = s.data() + kStart.size();
  const char* const end = s.data() + s.size();
  Token token;
  while (p < end && *p != ']') {
    int32_t id = 0;
    const auto [next, ec] = std::from_chars(p, end, id);
    if (ec != std::errc()) return std::nullopt;
    token.ids.push_back(id);
    p = next;
    if (p < end && *p == ',') {
      ++p;
      if (p == end || *p == ']') return std::nullopt;
    }
  }
  std::string_view rest(p, static_cast<size_t>(end - p));
  if (rest.size() < kText.size() + kEnd.size() || rest.substr(0, kText.size()) != kText || rest.substr(rest.size() - 2) != kEnd) return std::nullopt;
  const std::string_view text = rest.substr(kText.size(), rest.size() - kText.size() - kEnd.size());
  for (unsigned char c : text)
    if (c < 0x20 || c == '"' || c == '\\') return std::nullopt;
  if (!valid_utf8(text)) return std::nullopt;
  token.text = text;
  return Event(std::move(token));
}

Usage read_usage(const json::object& o) {
  Usage usage;
  usage.prompt_tokens = int_or_zero(o, "prompt_tokens");
  usage.completion_tokens = int_or_zero(o, "completion_tokens");
  usage.cached_tokens = int_or_zero(o, "cached_tokens");
  for (const auto& [key, member] : kUsageUnits) usage.*member = int_or_zero(o, key);
  return usage;
}

// What a client may nest, inside our own objects: the arguments of a call in a history, which came
// as a text of their own, are eight levels down.
constexpr size_t kDepth = limits::kJsonDepth + 12;

}  // namespace

std::string encode_request_head(const Request& r) {
  json::object o{{"id", r.id}, {"model", r.model}, {"task", r.task}, {"params", r.params}, {"seed", r.seed}};
  if (!r.tenant.empty()) o["tenant"] = r.tenant;
  if (r.deadline_ms) o["deadline_ms"] = r.deadline_ms;
  if (r.reject_if_busy) o["reject_if_busy"] = true;
  if (!r.affinity.empty()) o["affinity"] = r.affinity;
  if (!r.traceparent.empty()) o["traceparent"] = r.traceparent;
  if (!r.resume_ids.empty()) o["resume_ids"] = json::array(r.resume_ids.begin(), r.resume_ids.end());
  const std::string header = json::serialize(o);
  std::string out;
  out.reserve(4 + header.size());
  out.resize(4);
  put_u32(static_cast<uint32_t>(header.size()), out.data());
  out += header;
  return out;
}

verge::Result<Request> decode_request(std::string bytes) {
  if (bytes.size() > limits::kFrameBytes) return malformed("too large");
  if (bytes.size() < 4) return malformed("no length");
  const uint32_t length = get_u32(bytes);
  if (length > bytes.size() - 4) return malformed("the header is cut off");
  auto parsed = parse_json(std::string_view(bytes).substr(4, length), kDepth);
  if (!parsed) return malformed(parsed.error().message);
  json::object* o = parsed->if_object();
  if (!o) return malformed("the header is no object");
  Request r;
  r.id = string_or_empty(*o, "id");
  r.model = string_or_empty(*o, "model");
  r.task = string_or_empty(*o, "task");
  if (r.id.empty() || r.model.empty() || r.task.empty()) return malformed("id, model and task are needed");
  if (json::value* params = o->if_contains("params")) {
    if (!params->is_object()) return malformed("params");
    r.params = std::move(params->get_object());
  }
  const json::value* seed = o->if_contains("seed");
  if (!seed) return malformed("seed");
  if (seed->is_uint64()) r.seed = seed->get_uint64();
  else if (seed->is_int64() && seed->get_int64() >= 0) r.seed = static_cast<uint64_t>(seed->get_int64());
  else return malformed("seed");
  r.tenant = string_or_empty(*o, "tenant");
  r.deadline_ms = int_or_zero(*o, "deadline_ms");
  r.reject_if_busy = get_bool(*o, "reject_if_busy").value_or(false);
  r.affinity = string_or_empty(*o, "affinity");
  r.traceparent = string_or_empty(*o, "traceparent");
  VERGE_ASSIGN(ids, read_ids(*o, "resume_ids"));
  r.resume_ids = std::move(ids);
  r.payload = Payload(std::move(bytes), 4 + size_t{length});
  return r;
}

namespace {

constexpr uint32_t kHasBytes = 0x80000000;
static_assert(limits::kEventBytes < kHasBytes);

const std::string* blob_of(const Event& event) {
  if (const Result* result = std::get_if<Result>(&event)) return &result->blob.bytes;
  const Part* part = std::get_if<Part>(&event);
  return part ? &part->blob.bytes : nullptr;
}

}  // namespace

void encode_event(const Event& event, std::string& out) {
  const std::string* blob = blob_of(event);
  if (blob && blob->empty()) blob = nullptr;
  const size_t start = out.size();
  const size_t json = start + (blob ? 8 : 4);
  out.resize(json);
  if (const Token* token = std::get_if<Token>(&event)) append_token(*token, out);
  else
    std::visit(
        [&out](const auto& e) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(e)>, Token>) out += json::serialize(to_json(e));
        },
        event);
  put_u32(static_cast<uint32_t>(out.size() - json) | (blob ? kHasBytes : 0), out.data() + start);
  if (!blob) return;
  put_u32(static_cast<uint32_t>(blob->size()), out.data() + start + 4);
  out += *blob;
}

verge::Result<Event> decode_event(std::string_view text, std::string_view bytes) {
  if (auto token = read_plain_token(text)) return std::move(*token);
  auto parsed = parse_json(text, kDepth);
  if (!parsed) return malformed(parsed.error().message);
  const json::object* o = parsed->if_object();
  if (!o) return malformed("no object");
  const std::string kind = string_or_empty(*o, "e");
  if (kind == "token") return read_token(*o);
  if (kind == "accepted") {
    Accepted accepted(int_or_zero(*o, "prompt_tokens"), int_or_zero(*o, "cached_tokens"), string_or_empty(*o, "node"), string_or_empty(*o, "model"),
                      get_bool(*o, "substituted").value_or(false));
    accepted.build = string_or_empty(*o, "build");
    if (const json::object* load = get_object(*o, "load"))
      accepted.load = Load{static_cast<int>(int_or_zero(*load, "queued")), static_cast<int>(int_or_zero(*load, "running")), int_or_zero(*load, "queued_tokens")};
    return Event(std::move(accepted));
  }
  if (kind == "result" || kind == "part") {
    const json::value* value = o->if_contains("value");
    if (!value) return malformed("value");
    Blob blob{string_or_empty(*o, "content_type"), std::string(bytes)};
    return kind == "part" ? Event(Part{*value, std::move(blob)}) : Event(Result{*value, std::move(blob)});
  }
  if (kind == "usage") return Event(read_usage(*o));
  if (kind == "error") {
    Error error;
    error.code = code_from_string(string_or_empty(*o, "code"));
    error.message = string_or_empty(*o, "message");
    error.requested = int_or_zero(*o, "requested");
    error.limit = int_or_zero(*o, "limit");
    error.retry_after_ms = int_or_zero(*o, "retry_after_ms");
    error.pointer = string_or_empty(*o, "pointer");
    return Event(Failure{std::move(error)});
  }
  if (kind == "end") return Event(End{string_or_empty(*o, "finish_reason")});
  return malformed("unknown event");
}

void EventReader::feed(std::string_view bytes) {
  if (used_ == buffer_.size()) buffer_.clear(), used_ = 0;
  else if (used_ > (64 << 10)) buffer_.erase(0, used_), used_ = 0;
  buffer_ += bytes;
}

verge::Result<std::optional<Event>> EventReader::next() {
  const std::string_view rest = std::string_view(buffer_).substr(used_);
  if (rest.size() < 4) return std::optional<Event>();
  const bool more = get_u32(rest) & kHasBytes;
  const size_t head = more ? 8 : 4, length = get_u32(rest) & ~kHasBytes;
  if (length > limits::kEventBytes) return malformed("an event is too large");
  if (rest.size() < head) return std::optional<Event>();
  const size_t bytes = more ? get_u32(rest.substr(4)) : 0;
  if (bytes > limits::kEventBytes) return malformed("an event is too large");
  if (rest.size() - head < length + bytes) return std::optional<Event>();
  used_ += head + length + bytes;
  VERGE_ASSIGN(event, decode_event(rest.substr(head, length), rest.substr(head + length, bytes)));
  return std::optional<Event>(std::move(event));
}

}  // namespace verge::protocol
