#include "api/endpoints/run.h"

#include <algorithm>

#include "api/byte_arrays.h"
#include "api/endpoints/text.h"
#include "api/openai_names.h"
#include "api/sse.h"
#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "support/random.h"
#include "support/release.h"
#include "support/utf8.h"

namespace verge::api {
namespace {

bool plain_affinity(std::string_view text) {
  return text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// One Result, in REST's envelope or bare; or its parts as events, without an envelope.
class TaskAnswer : public AnswerFormat {
 public:
  TaskAnswer(const TaskHandler& handler, json::object context, Shape shape, bool image_results)
      : handler_(handler), context_(std::move(context)), shape_(shape), image_results_(image_results) {}
  json::value whole(const std::vector<Answer>& answers) override {
    json::value result = handler_.answer(answers.front(), context_).value();  // unmet() has looked
    if (image_results_ && handler_.image_list) result = json::object{{"results", std::move(result)}};
    if (shape_ == Shape::Binding) return result;
    return envelope(std::move(result));
  }
  std::string part(size_t, const protocol::Part& part) override { return sse_event(handler_.part(part)); }
  std::optional<Error> unmet(const std::vector<Answer>& answers) const override {
    const Result<json::value> result = handler_.answer(answers.front(), context_);
    return result ? std::nullopt : std::optional(result.error());
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }  // never: these tasks make no tokens
  std::string closing(const std::vector<Answer>& answers) override { return sse_event(handler_.last(answers.front())) + std::string(kSseDone); }
  std::string failure(const Published& error, std::string_view request_id) override { return sse_event(error_body(error, shape_, request_id)); }

 private:
  const TaskHandler& handler_;
  json::object context_;
  Shape shape_;
  bool image_results_;
};

// The blobs of the Parts, joined.
class BytesAnswer : public AnswerFormat {
 public:
  explicit BytesAnswer(std::string type) : type_(std::move(type)) {}
  std::string_view stream_type() const override { return type_; }
  json::value whole(const std::vector<Answer>&) override { return nullptr; }  // never: it is a stream
  std::string piece(size_t, const protocol::Token&) override { return {}; }
  std::string part(size_t, const protocol::Part& part) override { return part.blob.bytes; }
  std::string closing(const std::vector<Answer>&) override { return {}; }
  std::string failure(const Published&, std::string_view) override { return {}; }

 private:
  std::string type_;
};

// The task's stand-in; where its weights are not here, another model of the task whose weights are. Of `width` (0 = any): vectors
// of two widths do not go into one index.
const catalogue::Entry* stand_in_of_task(const Context& context, std::string_view task, int width) {
  const auto fits = [&](const catalogue::Entry& entry) { return entry.task == task && (width == 0 || catalogue::embedding_width(entry) == width); };
  const catalogue::Entry* usual = context.catalogue.stand_in(task);
  if (usual && !fits(*usual)) usual = nullptr;
  const Availability here(context);
  if (usual && here.has(*usual)) return usual;
  for (const catalogue::Entry* entry : context.catalogue.all())
    if (fits(*entry) && here.has(*entry)) return entry;
  return usual;
}

}  // namespace

Result<const catalogue::Entry*> find_model(Call& call, std::string_view id, std::string_view task) {
  const catalogue::Entry* entry = catalogue::valid_id(id) ? call.context.catalogue.find(id) : nullptr;
  const std::string_view named = catalogue::valid_id(id) ? task_of_openai_name(id) : std::string_view();
  if (!named.empty() && (!entry || (call.context.options.stand_ins && !Availability(call.context).has(*entry)))) {
    if (!call.context.options.stand_ins)
      return fail(Code::NoSuchModel, "No such model {} or task: it is OpenAI's. Start the server with --stand-ins to have it answered by a model that is here, or with --model {}=PATH", id, id);
    const int width = width_of_openai_name(id);
    entry = stand_in_of_task(call.context, named, width);
    if (!entry && width > 0)
      return fail(Code::NoSuchModel, "No such model {} or task: it is OpenAI's, and no model here makes vectors of {} numbers. --stand-in {}=ID has another one answer all the same", id,
                  width, id);
    call.substituted = entry != nullptr;
    if (entry) call.asked = id;
  }
  if (!entry || (!task.empty() && entry->task != task)) return no_such_model(id);
  if (entry->task != "text-generation" && !find_task_handler(entry->task)) return no_such_model(id);
  call.model = entry->id;
  return entry;
}

Result<RunOptions> read_options(Call& call, const json::object& body) {
  RunOptions out;
  Params beside(body);
  const json::object* options = beside.object("options");
  if (!beside.ok()) return beside.error();
  if (!options) return out;
  VERGE_ASSIGN(unknown, check_parameters(Surface::RunOptions, *options));
  for (std::string& name : unknown) name.insert(0, "options.");
  note_ignored(call, std::move(unknown));
  Params in(*options);
  out.reject_if_busy = in.flag("rejectIfBusy").value_or(false);
  if (!in.ok()) return in.error();
  return out;
}

protocol::Request make_request(Call& call, const catalogue::Entry& entry, const RunOptions& options) {
  protocol::Request request;
  request.id = call.id;
  request.model = entry.id;
  request.task = entry.task;
  request.tenant = call.tenant;
  request.seed = random_u64();
  request.reject_if_busy = options.reject_if_busy;
  request.deadline_ms = call.deadline_ms;
  if (auto affinity = call.in.header("x-session-affinity"); plain_affinity(affinity)) request.affinity = affinity;
  request.traceparent = call.span.traceparent();
  return request;
}

void note_members_beside(Call& call, const json::object& body, std::initializer_list<std::string_view> known) {
  std::vector<std::string> names;
  for (const auto& [key, value] : body)
    if (std::ranges::find(known, std::string_view(key)) == known.end()) names.emplace_back(key);
  note_ignored(call, std::move(names));
}

Result<LiftedInput> lifted_body(const Call& call, std::string_view inputs) {
  VERGE_TRY(read_json_text(call));
  VERGE_ASSIGN(lifted, lift_byte_arrays(call.in.body));
  release(call.in.body);  // not kept while the model answers
  VERGE_ASSIGN(value, parse_json(lifted.json));
  release(lifted.json);
  if (!value.is_object()) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in another type");
  LiftedInput out;
  out.body = std::move(value.get_object());
  if (lifted.arrays.size() > 1)
    return fail_at(Code::InvalidInput, fmt::format("/{}", lifted.arrays[0].key), "one array of bytes can be read, not {} ('/{}' and '/{}')", lifted.arrays.size(), lifted.arrays[0].key, lifted.arrays[1].key);
  if (!lifted.arrays.empty()) {
    out.input.payload = std::move(lifted.arrays.front().bytes);
    out.input.payload_key = std::move(lifted.arrays.front().key);
  }
  if (inputs.empty()) return out;
  json::value* member = out.body.if_contains(inputs);
  if (!member) return fail(Code::InvalidInput, "required properties at '/' are '{}'", inputs);
  out.input.json = std::move(*member);
  return out;
}

Result<TaskInput> raw_input(Call& call) {
  if (call.in.body.empty()) return fail(Code::InvalidInput, "the request has no body");
  TaskInput input;
  json::object others;
  for (std::string_view rest = call.in.query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = http::percent_decode(pair.substr(0, equals), true);
    auto value = http::percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return fail(Code::InvalidInput, "the query is badly encoded");
    if (first_invalid_utf8(*name) != name->npos || first_invalid_utf8(*value) != value->npos)
      return fail(Code::InvalidInput, "the query is not UTF-8 behind its percent signs");
    if (!name->empty() && *name != "queueRequest") others[*name] = *value;
  }
  input.json = std::move(others);
  input.payload = std::move(call.in.body);
  input.content_type = std::string(call.in.header("content-type"));
  return input;
}

std::unique_ptr<AnswerFormat> bytes_answer(std::string content_type) { return std::make_unique<BytesAnswer>(std::move(content_type)); }

http::task<void> run_native(Call& call, const catalogue::Entry& entry, TaskInput input, RunOptions options) {
  static const json::object kAnything;
  const TaskHandler* handler = find_task_handler(entry.task);
  if (!handler) {
    // No model here reads both: an array that was lifted out would be left out in silence.
    if (!input.payload_key.empty()) return respond_error(call, not_built("/" + input.payload_key, "this model reads text only"));
    return run_text(call, entry, std::move(input.json), options);
  }
  const json::object* schema = get_object(call.context.catalogue.schema(entry), "input");
  if (json::object* object = input.json.if_object()) object->erase("options");  // the route's, not the model's
  auto parsed = handler->parse(std::move(input), entry, schema ? *schema : kAnything);
  if (!parsed) return respond_error(call, parsed.error());
  note_ignored(call, std::move(parsed->ignored));
  std::vector<protocol::Request> requests;
  requests.push_back(make_request(call, entry, options));
  requests.front().params = std::move(parsed->params);
  requests.front().payload = std::move(parsed->payload);
  if (!parsed->stream_type.empty()) return generate(call, std::move(requests), bytes_answer(std::move(parsed->stream_type)), true);
  return generate(call, std::move(requests), std::make_unique<TaskAnswer>(*handler, std::move(parsed->context), call.shape, call.image_results),
                  parsed->stream && handler->part);
}

}  // namespace verge::api
