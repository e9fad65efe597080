// The catalogue over REST and the binding.
#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>

#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"
#include "api/tasks/params.h"
#include "support/clock.h"
#include "support/text.h"

namespace verge::api {

std::string_view author_of(std::string_view id) {
  size_t first = id.find('/');
  if (!id.starts_with('@') || first == id.npos) return id.substr(0, first);
  size_t second = id.find('/', first + 1);
  // "@cf/meta/x" is by meta, "@verge/x" by verge.
  return second == id.npos ? id.substr(1, first - 1) : id.substr(first + 1, second - first - 1);
}

namespace {

using catalogue::Entry;

constexpr int64_t kPageDefault = 100, kPageMost = 1000;

// 1 = @cf, 2 = @hf, as published; 3 = this project's and the user's own.
int source_of(std::string_view id) { return id.starts_with("@cf/") ? 1 : id.starts_with("@hf/") ? 2 : 3; }

std::string today() {
  auto seconds = static_cast<std::time_t>(unix_ms() / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

json::object task_json(const catalogue::Task& task) { return {{"id", task.id}, {"name", task.name}, {"description", task.description}}; }

json::object property(std::string_view id, json::value value) { return {{"property_id", id}, {"value", std::move(value)}}; }

json::object model_json(const Entry& entry, const catalogue::Task* task, bool available) {
  json::array properties;
  if (!entry.prices.empty()) {
    json::array prices;
    for (const catalogue::Price& price : entry.prices)
      prices.push_back(json::object{{"unit", price.unit}, {"price", price.usd}, {"currency", "USD"}});
    properties.push_back(property("price", std::move(prices)));
  }
  if (entry.context_tokens > 0) properties.push_back(property("context_window", json::value(std::to_string(entry.context_tokens))));
  if (!entry.deprecated_on.empty()) properties.push_back(property("planned_deprecation_date", json::value(entry.deprecated_on)));
  for (const auto& [id, value] : entry.properties) properties.push_back(property(id, value));
  properties.push_back(property("verge_available", json::value(available ? "true" : "false")));
  json::array tags;
  for (const std::string& tag : entry.tags) tags.push_back(json::value(tag));
  json::object out{{"id", entry.uuid}, {"source", source_of(entry.id)}, {"name", entry.id}, {"description", entry.description}};
  out["task"] = task ? task_json(*task) : json::object{{"id", ""}, {"name", entry.task}, {"description", ""}};
  out["created_at"] = entry.created_at;
  out["tags"] = std::move(tags);
  out["properties"] = std::move(properties);
  if (!entry.deprecated_on.empty()) out["deprecated"] = entry.deprecated_on <= today();
  return out;
}

// A query parameter that is a number of at least 1.
Result<int64_t> positive(const Call& call, std::string_view name, int64_t otherwise) {
  auto text = call.in.query_param(name);
  if (!text || text->empty()) return otherwise;
  int64_t number = 0;
  auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (ec != std::errc() || end != text->data() + text->size() || number < 1) return fail_at(Code::InvalidInput, fmt::format("/{}", name), "'/{}' must be >= 1", name);
  return number;
}

struct Filter {
  std::string author, search, task;
  std::optional<int64_t> source;
  bool hide_experimental = false, include_deprecated = false;
  std::optional<bool> available;  // Verge's own

  bool takes(const Entry& entry, const catalogue::Task* entry_task, const std::string& date) const {
    if (!author.empty() && ascii_lower(author_of(entry.id)) != author) return false;
    if (source && source_of(entry.id) != *source) return false;
    if (!task.empty() && ascii_lower(entry.task) != task && !(entry_task && (ascii_lower(entry_task->name) == task || entry_task->id == task)))
      return false;
    if (!search.empty() && ascii_lower(entry.id).find(search) == std::string::npos && ascii_lower(entry.description).find(search) == std::string::npos)
      return false;
    if (hide_experimental && get_string(entry.properties, "beta") == "true") return false;
    return include_deprecated || entry.deprecated_on.empty() || entry.deprecated_on > date;
  }
};

Result<Filter> read_filter(const Call& call) {
  Filter filter;
  std::optional<Error> wrong;
  auto flag = [&](std::string_view name) -> std::optional<bool> {
    auto text = call.in.query_param(name);
    if (!text || text->empty()) return std::nullopt;
    auto value = as_bool(std::string_view(*text));
    if (!value) wrong = fail_at(Code::InvalidInput, fmt::format("/{}", name), "Type mismatch of '/{}', 'boolean' not in 'string'", name);
    return value;
  };
  filter.author = ascii_lower(call.in.query_param("author").value_or(""));
  filter.search = ascii_lower(call.in.query_param("search").value_or(""));
  filter.task = ascii_lower(call.in.query_param("task").value_or(""));
  filter.hide_experimental = flag("hide_experimental").value_or(false);
  filter.include_deprecated = flag("include_deprecated").value_or(false);
  filter.available = flag("available");
  if (wrong) return *wrong;
  if (auto format = call.in.query_param("format"); format && !format->empty()) return not_built("/format", "models are listed in the published shape");
  if (auto source = call.in.query_param("source"); source && !source->empty()) {
    VERGE_ASSIGN(number, positive(call, "source", 0));
    filter.source = number;
  }
  return filter;
}

}  // namespace

http::task<void> search_models(Call& call) {
  auto filter = read_filter(call);
  auto page = positive(call, "page", 1), per_page = positive(call, "per_page", kPageDefault);
  if (!filter || !page || !per_page) { return respond_error(call, !filter ? filter.error() : !page ? page.error() : per_page.error()); }
  size_t size = static_cast<size_t>(std::min(*per_page, kPageMost)), total = 0;
  // Past-the-end pages are empty: clients page until they see one.
  uint64_t first = static_cast<uint64_t>(std::min<int64_t>(*page - 1, 1 << 20)) * size;
  const std::string date = today();
  const Availability here(call.context);
  json::array models;
  for (const Entry* entry : call.context.catalogue.all()) {
    const catalogue::Task* task = call.context.catalogue.task(entry->task);
    const bool available = here.has(*entry);
    if (!filter->takes(*entry, task, date) || (filter->available && *filter->available != available)) continue;
    if (total >= first && models.size() < size) models.push_back(model_json(*entry, task, available));
    ++total;
  }
  json::object info{{"count", models.size()}, {"page", *page}, {"per_page", size}, {"total_count", total}};
  return respond_envelope(call, std::move(models), {{"result_info", std::move(info)}});
}

http::task<void> model_schema(Call& call) {
  auto id = call.in.query_param("model");
  if (!id || id->empty()) { return respond_error(call, fail(Code::InvalidInput, "required properties at '/' are 'model'")); }
  const Entry* entry = catalogue::valid_id(*id) ? call.context.catalogue.find(*id) : nullptr;
  if (!entry) return respond_error(call, no_such_model(*id));
  return respond_envelope(call, call.context.catalogue.schema(*entry));
}

http::task<void> search_tasks(Call& call) {
  json::array tasks;
  for (const catalogue::Task* task : call.context.catalogue.tasks()) tasks.push_back(task_json(*task));
  return respond_envelope(call, std::move(tasks));
}

http::task<void> search_authors(Call& call) {
  std::set<std::string, std::less<>> names;
  for (const Entry* entry : call.context.catalogue.all()) names.emplace(author_of(entry->id));
  json::array authors;
  for (const std::string& name : names) authors.push_back(json::object{{"id", name}, {"name", name}});
  return respond_envelope(call, std::move(authors));
}

}  // namespace verge::api
