// OpenAI's Responses API: an answer, and what is kept of answers for those that go on from them.
#include <algorithm>
#include <set>

#include "accounts/response_store.h"
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"
#include "api/responses/answer.h"
#include "api/responses/request.h"
#include "api/tasks/params.h"
#include "api/tasks/token_count.h"
#include "api/utf8.h"
#include "support/clock.h"
#include "support/responses_limits.h"

namespace verge::api {
namespace {

using accounts::KeptResponse;
using responses::Items;
using Found = Result<std::optional<KeptResponse>>;

Result<json::array> items_of(const KeptResponse& kept, bool with_output) {
  VERGE_ASSIGN(input, parse_json(kept.input));
  VERGE_ASSIGN(response, parse_json(kept.response));
  if (!input.is_array() || !response.is_object() || !get_array(response.get_object(), "output"))
    return fail(Code::Internal, "responses.db: {} is no response", kept.id);
  json::array items = std::move(input.get_array());
  if (!with_output) return items;
  for (json::value& item : response.get_object()["output"].get_array())
    items.push_back(std::move(item));
  return items;
}

void append(Items& to, json::array items, const std::string& place) {
  for (json::value& item : items) {
    to.list.push_back(std::move(item));
    to.places.push_back(place);
  }
}

http::task<Found> find(Call& call, std::string id) {
  accounts::ResponseStore* store = call.context.options.responses;
  if (!store) co_return std::optional<KeptResponse>();
  auto finding = store->find(call.tenant, std::move(id));
  Found found = co_await std::move(finding);
  if (!found) co_return own_failure(found.error());
  co_return found;
}

// What an item_reference stands for.
http::task<Result<json::value>> find_item(Call& call, std::string id) {
  Found found = std::optional<KeptResponse>();
  if (accounts::ResponseStore* store = call.context.options.responses) {
    auto finding = store->find_item(call.tenant, id);
    found = co_await std::move(finding);
  }
  if (!found) co_return own_failure(found.error());
  if (!*found) co_return no_such_item(id);
  Result<json::array> items = items_of(**found, true);
  if (!items) co_return items.error();
  for (json::value& item : *items)
    if (item.at("id") == json::string(id)) co_return std::move(item);
  co_return no_such_item(id);
}

// A client may send items again that it goes on from, or one id twice. Pages go on after an id, so
// that each of a response is there once: later ones get an id of their own.
void tell_apart(Items& items, size_t own, std::string_view seed) {
  std::set<std::string> seen;
  for (size_t i = 0; i < items.list.size(); ++i) {
    json::object& item = items.list[i].get_object();
    const std::string id = get_string(item, "id").value_or("");
    if (seen.insert(id).second || i < own) continue;
    const std::string type = get_string(item, "type").value_or("");
    item["id"] = responses::input_item_id(type, seed, i - own);
    seen.insert(get_string(item, "id").value_or(""));
  }
}

// All items that the model is given: those of the response that this one goes on from, then the
// request's own.
http::task<Result<Items>> gather(Call& call, const responses::Request& request) {
  Items all;
  if (!request.previous.empty()) {
    auto finding = find(call, request.previous);
    Found found = co_await std::move(finding);
    if (!found) co_return found.error();
    if (!*found) co_return no_such_response(request.previous, true);
    Result<json::array> items = items_of(**found, true);
    if (!items) co_return items.error();
    append(all, std::move(*items), "/previous_response_id");
  }
  const size_t own = all.list.size();
  size_t references = 0;
  for (size_t i = 0; i < request.input.list.size(); ++i) {
    json::value item = request.input.list[i];
    if (item.at("type") == "item_reference") {
      if (++references > limits::kItemReferences)
        co_return fail_at(Code::InvalidInput, "/input", "'/input' has more than {} items of type item_reference",
                       limits::kItemReferences);
      std::string id(item.at("id").as_string());
      auto finding = find_item(call, std::move(id));
      Result<json::value> found = co_await std::move(finding);
      if (!found) co_return found.error();
      item = std::move(*found);
    }
    all.list.push_back(std::move(item));
    all.places.push_back(request.input.places[i]);
  }
  if (all.list.size() > limits::kResponseItems)
    co_return fail_at(Code::InvalidInput, "/input",
                   "'/input' and what it goes on from have {} items, which must be <= {}",
                   all.list.size(), limits::kResponseItems);
  tell_apart(all, own, call.id);
  co_return all;
}

std::string response_id(const Call& call) { return responses::item_id("resp", call.id, 0); }

struct Asked {
  responses::Request request;
  const catalogue::Entry* entry = nullptr;
  RunOptions options;
};

Result<Asked> read(Call& call) {
  VERGE_ASSIGN(body, body_object(call));
  const auto model = get_string(body, "model");
  if (!model) return fail(Code::InvalidInput, "required properties at '/' are 'model'");
  Asked out;
  VERGE_ASSIGN(entry, find_model(call, *model, "text-generation"));
  out.entry = entry;
  VERGE_ASSIGN(options, read_options(call, body));
  out.options = options;
  VERGE_ASSIGN(request, responses::read_request(std::move(body), call.id));
  out.request = std::move(request);
  out.request.model = *model;
  return out;
}

// Requests with one prompt_cache_key share a prefix: they go to one node, as those with one
// x-session-affinity.
void keep_together(const responses::Request& request, std::vector<protocol::Request>& requests) {
  const auto key = get_string(request.body, "prompt_cache_key");
  if (!key || key->size() > 128 ||
      !std::ranges::all_of(*key, [](char c) { return c > ' ' && c < 0x7f; }))
    return;
  for (protocol::Request& one : requests)
    if (one.affinity.empty()) one.affinity = *key;
}

// The id of the path, where something is kept under it.
http::task<Found> kept_of_path(Call& call) {
  std::string id = call.path.at("id");
  auto finding = find(call, id);
  Found found = co_await std::move(finding);
  if (found && !*found) co_return no_such_response(id, false);
  co_return found;
}

struct Page {
  std::string after;
  size_t limit = limits::kInputItemsPage;
  bool newest_first = true;
};

Result<Page> read_page(const Call& call) {
  json::object query;
  for (const char* name : {"after", "limit", "order"})
    if (auto value = call.in.query_param(name)) query[name] = *value;
  Params in(query, ValuesAre::Text);
  Page page;
  page.after = in.text("after").value_or("");
  page.limit = static_cast<size_t>(
      in.integer("limit", 1, limits::kInputItemsMost).value_or(limits::kInputItemsPage));
  const std::string order = in.text("order").value_or("desc");
  if (!in.ok()) return in.error();
  if (order != "asc" && order != "desc")
    return fail_at(Code::InvalidInput, "/order", "enum {:.32} not in asc,desc at '/order'", order);
  page.newest_first = order == "desc";
  return page;
}

Result<json::object> page_of(json::array items, const Page& page) {
  if (page.newest_first) std::reverse(items.begin(), items.end());
  auto from = items.begin();
  if (!page.after.empty()) {
    from = std::ranges::find_if(
        items, [&](const json::value& item) { return item.at("id") == json::string(page.after); });
    if (from == items.end())
      return fail_at(Code::InvalidInput, "/after", "'/after': no item of this response has the id {:.128}",
                  page.after);
    ++from;
  }
  json::array data;
  for (; from != items.end() && data.size() < page.limit; ++from) data.push_back(*from);
  const bool more = from != items.end();
  json::object out{
      {"object", "list"}, {"first_id", nullptr}, {"last_id", nullptr}, {"has_more", more}};
  if (!data.empty()) {
    out["first_id"] = data.front().at("id");
    out["last_id"] = data.back().at("id");
  }
  out["data"] = std::move(data);
  return out;
}

}  // namespace

http::task<void> create_response(Call& call) {
  Result<Asked> asked = read(call);
  Result<Items> items = asked ? Items() : Result<Items>(asked.error());
  if (asked) {
    auto gathering = gather(call, asked->request);
    items = co_await std::move(gathering);
  }
  Result<TextRequest> text = items ? responses::to_text(asked->request, *items, *asked->entry)
                                   : Result<TextRequest>(items.error());
  if (!text) {
    auto refusal = respond_error(call, text.error());
    co_await std::move(refusal);
    co_return;
  }
  responses::Request& request = asked->request;
  text->ignored.insert(text->ignored.begin(), request.ignored.begin(), request.ignored.end());
  note_ignored(call, std::move(text->ignored));
  accounts::ResponseStore* store = request.store ? call.context.options.responses : nullptr;
  request.store = store != nullptr;
  const int64_t now_ms = unix_ms();
  KeptResponse kept;
  if (store) {
    kept.account = call.tenant;
    kept.id = response_id(call);
    kept.created_ms = now_ms;
    kept.input = json_body(items->list);
    for (const json::value& item : request.input.list)
      kept.item_ids.emplace_back(item.at("id").as_string());
    const size_t own = items->list.size() - request.input.list.size();
    for (size_t i = own; i < items->list.size(); ++i)
      kept.item_ids.emplace_back(items->list[i].at("id").as_string());
  }
  responses::Writer writer(
      responses::response_json(request, *text, response_id(call), now_ms / 1000), call.id,
      text->params.logprobs.has_value());
  std::vector<protocol::Request> requests =
      make_requests(call, *asked->entry, *text, asked->options);
  keep_together(request, requests);
  std::unique_ptr<AnswerFormat> format =
      std::make_unique<responses::ResponseAnswer>(std::move(writer), store, std::move(kept));
  auto answering = generate(call, std::move(requests), std::move(format), text->stream);
  co_await std::move(answering);
}

http::task<void> count_response_tokens(Call& call) {
  Result<Asked> asked = read(call);
  Result<Items> items = asked ? Items() : Result<Items>(asked.error());
  if (asked) {
    auto gathering = gather(call, asked->request);
    items = co_await std::move(gathering);
  }
  Result<TextRequest> text = items ? responses::to_text(asked->request, *items, *asked->entry)
                                   : Result<TextRequest>(items.error());
  if (!text) {
    auto refusal = respond_error(call, text.error());
    co_await std::move(refusal);
    co_return;
  }
  text->ignored.insert(text->ignored.begin(), asked->request.ignored.begin(),
                       asked->request.ignored.end());
  note_ignored(call, std::move(text->ignored));
  text->params.count_tokens = true;
  std::vector<protocol::Request> requests =
      make_requests(call, *asked->entry, *text, asked->options);
  std::unique_ptr<AnswerFormat> format = std::make_unique<TokenCount>("response.input_tokens");
  auto counting = generate(call, std::move(requests), std::move(format), false);
  co_await std::move(counting);
}

http::task<void> compact_response(Call& call) {
  const Error error =
      fail(Code::UnsupportedParameter,
           "'/v1/responses/compact' is not supported: leave the oldest items out of 'input', or "
           "ask for a summary of them in a request of its own");
  auto refusal = respond_error(call, error);
  co_await std::move(refusal);
}

http::task<void> get_response(Call& call) {
  auto finding = kept_of_path(call);
  Found found = co_await std::move(finding);
  if (found && as_bool(call.in.query_param("stream").value_or("false")) != false)
    found = not_built("/stream", "of a response that is complete: read it without");
  Result<json::value> response =
      found ? parse_json((*found)->response) : Result<json::value>(found.error());
  auto answering = response ? respond_json(call, *response) : respond_error(call, response.error());
  co_await std::move(answering);
}

http::task<void> delete_response(Call& call) {
  const std::string id = call.path.at("id");
  Result<bool> removed = false;
  if (accounts::ResponseStore* store = call.context.options.responses) {
    auto removing = store->remove(call.tenant, id);
    removed = co_await std::move(removing);
    if (!removed) removed = own_failure(removed.error());
  }
  if (removed && !*removed) removed = no_such_response(id, false);
  const json::object body{{"id", id}, {"object", "response"}, {"deleted", true}};
  auto answering = removed ? respond_json(call, body) : respond_error(call, removed.error());
  co_await std::move(answering);
}

http::task<void> response_input_items(Call& call) {
  Result<Page> page = read_page(call);
  Found found = page ? std::optional<KeptResponse>() : Found(page.error());
  if (page) {
    auto finding = kept_of_path(call);
    found = co_await std::move(finding);
  }
  Result<json::array> items = found ? items_of(**found, false) : Result<json::array>(found.error());
  Result<json::object> list =
      items ? page_of(std::move(*items), *page) : Result<json::object>(items.error());
  auto answering = list ? respond_json(call, *list) : respond_error(call, list.error());
  co_await std::move(answering);
}

http::task<void> cancel_response(Call& call) {
  auto finding = kept_of_path(call);
  Found found = co_await std::move(finding);
  const Error error = found ? fail(Code::InvalidInput,
                                   "only a response made with 'background' can be cancelled: close "
                                   "the connection of another one")
                            : found.error();
  auto refusal = respond_error(call, error);
  co_await std::move(refusal);
}

}  // namespace verge::api
