// Reads one catalogue file. Every field is checked here, once, so that no other code has to doubt an
// Entry: ids and file names in particular become paths and URLs later.
#include "catalogue/entry_json.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "catalogue/catalogue.h"
#include "catalogue/schema.h"
#include "support/hex.h"

namespace verge::catalogue {
namespace {

// Takes the fields of one object one by one; what is left over at the end is unknown.
class Fields {
 public:
  Fields(const json::object& object, std::string place) : object_(object), place_(std::move(place)) {}

  const json::value* take(std::string_view name) {
    taken_.emplace_back(name);
    return object_.if_contains(name);
  }
  Result<std::string> text(std::string_view name, bool required) {
    const json::value* value = take(name);
    if (!value) return required ? Result<std::string>(missing(name)) : Result<std::string>(std::string());
    if (!value->is_string()) return wrong(name, "a string");
    return std::string(value->get_string());
  }
  Result<int64_t> count(std::string_view name, bool required) {
    const json::value* value = take(name);
    if (!value) return required ? Result<int64_t>(missing(name)) : Result<int64_t>(int64_t{0});
    if (!value->is_int64() || value->get_int64() < 0) return wrong(name, "an integer >= 0");
    return value->get_int64();
  }
  Result<bool> flag(std::string_view name) {
    const json::value* value = take(name);
    if (!value) return false;
    if (!value->is_bool()) return wrong(name, "true or false");
    return value->get_bool();
  }
  Result<std::vector<std::string>> texts(std::string_view name) {
    std::vector<std::string> out;
    const json::value* value = take(name);
    if (!value) return out;
    if (!value->is_array()) return wrong(name, "an array of strings");
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) return wrong(name, "an array of strings");
      out.emplace_back(item.get_string());
    }
    return out;
  }
  Result<json::object> object(std::string_view name) {
    const json::value* value = take(name);
    if (!value) return json::object();
    if (!value->is_object()) return wrong(name, "an object");
    return value->get_object();
  }
  Result<json::array> array(std::string_view name) {
    const json::value* value = take(name);
    if (!value) return json::array();
    if (!value->is_array()) return wrong(name, "an array");
    return value->get_array();
  }
  Result<void> rest() const {
    for (const auto& field : object_)
      if (std::find(taken_.begin(), taken_.end(), std::string_view(field.key())) == taken_.end())
        return fail(Code::InvalidInput, "{}: unknown field", place(field.key()));
    return {};
  }
  std::string place(std::string_view name) const { return place_.empty() ? std::string(name) : fmt::format("{}.{}", place_, name); }
  Error wrong(std::string_view name, std::string_view wanted) const {
    return fail(Code::InvalidInput, "{}: must be {}", place(name), wanted);
  }
  Error missing(std::string_view name) const { return fail(Code::InvalidInput, "{}: is missing", place(name)); }

 private:
  const json::object& object_;
  std::string place_;
  std::vector<std::string> taken_;
};

bool safe_relative_path(std::string_view path) {
  if (path.empty() || path.size() > 512 || path.front() == '/' || path.find('\\') != path.npos || path.find('\0') != path.npos)
    return false;
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find('/', start), path.size());
    std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return true;
}

bool is_sha256(std::string_view text) { return is_hex(text, 64); }

// "2026-05-30", a day that there is.
bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto number = [&](size_t at, size_t length) {
    int value = 0;
    for (const char c : text.substr(at, length)) value = c < '0' || c > '9' ? -100'000 : value * 10 + (c - '0');
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 0 || month < 0 || day < 0) return false;
  return std::chrono::year_month_day{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)), std::chrono::day(static_cast<unsigned>(day))}.ok();
}

// A date, or one with a time behind it: "2023-09-25 19:21:11.898".
bool is_moment(std::string_view text) {
  if (!is_date(text.substr(0, 10))) return false;
  if (text.size() == 10) return true;
  if (text.size() < 19 || text[10] != ' ' || text[13] != ':' || text[16] != ':') return false;
  return text.substr(11).find_first_not_of("0123456789:.") == text.npos;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::string_view("0123456789abcdefABCDEF").find(text[i]) == std::string_view::npos) return false;
  }
  return true;
}

// As accounts/neurons.cpp charges them.
constexpr std::string_view kUnits[] = {"per M input tokens", "per M cached input tokens", "per M output tokens", "per audio minute",
                                       "per inference request", "per 512 by 512 tile", "per step", "per 1k characters"};

// "name==version" and nothing that pip would read as an option or a place.
bool is_pinned_package(std::string_view text) {
  size_t at = text.find("==");
  if (at == text.npos || at == 0 || at + 2 >= text.size() || text.front() == '-') return false;
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '+';
  };
  std::string_view name = text.substr(0, at), version = text.substr(at + 2);
  return std::all_of(name.begin(), name.end(), plain) && std::all_of(version.begin(), version.end(), plain);
}

Result<File> parse_file(const json::value& value, const std::string& place, size_t packages) {
  if (!value.is_object()) return fail(Code::InvalidInput, "{}: must be an object", place);
  Fields fields(value.get_object(), place);
  File file;
  VERGE_ASSIGN(name, fields.text("name", true));
  if (!safe_relative_path(name)) return fields.wrong("name", "a relative path without '..'");
  VERGE_ASSIGN(sha256, fields.text("sha256", false));
  if (!sha256.empty() && !is_sha256(sha256)) return fields.wrong("sha256", "64 lower-case hexadecimal digits");
  VERGE_ASSIGN(bytes, fields.count("bytes", false));
  VERGE_ASSIGN(member, fields.text("member", false));
  VERGE_ASSIGN(parts, fields.array("parts"));
  VERGE_TRY(fields.rest());
  if (!member.empty() && !safe_relative_path(member)) return fields.wrong("member", "a relative path without '..'");
  for (const json::value& part : parts) {
    const json::array* pair = part.if_array();
    if (!pair || pair->size() != 2 || !(*pair)[0].is_int64() || !(*pair)[1].is_string())
      return fields.wrong("parts", "pairs of package index and member path");
    int64_t index = (*pair)[0].get_int64();
    if (index < 0 || static_cast<size_t>(index) >= packages) return fields.wrong("parts", "pairs whose index is one of packages");
    std::string path((*pair)[1].get_string());
    if (!safe_relative_path(path)) return fields.wrong("parts", "pairs whose path is relative and without '..'");
    file.parts.emplace_back(static_cast<int>(index), std::move(path));
  }
  if (packages > 0 && member.empty() == file.parts.empty()) return fields.wrong("member", "given, or parts, not both");
  if (packages == 0 && (!member.empty() || !file.parts.empty())) return fields.wrong("member", "left out where the source is no package");
  file.name = std::move(name);
  file.sha256 = std::move(sha256);
  file.bytes = static_cast<uint64_t>(bytes);
  file.member = std::move(member);
  return file;
}

Result<Source> parse_source(const json::value& value, const std::string& place) {
  if (!value.is_object()) return fail(Code::InvalidInput, "{}: must be an object", place);
  Fields fields(value.get_object(), place);
  Source source;
  VERGE_ASSIGN(hub, fields.text("hub", false));
  VERGE_ASSIGN(url, fields.text("url", false));
  VERGE_ASSIGN(path, fields.text("path", false));
  VERGE_ASSIGN(packages, fields.texts("packages"));
  VERGE_ASSIGN(revision, fields.text("revision", false));
  VERGE_ASSIGN(files, fields.array("files"));
  VERGE_TRY(fields.rest());
  if (!hub.empty() + !url.empty() + !path.empty() + !packages.empty() != 1)
    return fail(Code::InvalidInput, "{}: must have exactly one of hub, url, path, packages", place);
  if (hub.empty() && !revision.empty()) return fields.wrong("revision", "left out where the source is no hub");
  if (!hub.empty()) {
    if (!valid_id(hub) || hub.front() == '@' || std::count(hub.begin(), hub.end(), '/') != 1)
      return fields.wrong("hub", "ORGANISATION/REPOSITORY");
    source.kind = Source::Kind::Hub;
    source.location = std::move(hub);
    if (!revision.empty()) source.revision = std::move(revision);
  } else if (!url.empty()) {
    if (!url.starts_with("https://") && !url.starts_with("http://")) return fields.wrong("url", "an http or https address");
    source.kind = Source::Kind::Url;
    source.location = std::move(url);
  } else if (!path.empty()) {
    source.kind = Source::Kind::Path;
    source.location = std::move(path);
  } else {
    for (const std::string& package : packages)
      if (!is_pinned_package(package)) return fields.wrong("packages", "NAME==VERSION each");
    source.kind = Source::Kind::Package;
    source.packages = std::move(packages);
  }
  bool must_list = source.kind == Source::Kind::Url || source.kind == Source::Kind::Package;
  if (must_list && files.empty()) return fields.missing("files");
  for (size_t i = 0; i < files.size(); ++i) {
    VERGE_ASSIGN(file, parse_file(files[i], fmt::format("{}.{}", fields.place("files"), i), source.packages.size()));
    source.files.push_back(std::move(file));
  }
  return source;
}

Result<Price> parse_price(const json::value& value, const std::string& place) {
  if (!value.is_object()) return fail(Code::InvalidInput, "{}: must be an object", place);
  Fields fields(value.get_object(), place);
  Price price;
  VERGE_ASSIGN(unit, fields.text("unit", true));
  const json::value* usd = fields.take("usd");
  VERGE_TRY(fields.rest());
  if (!usd || !usd->is_number() || usd->to_number<double>() < 0) return fields.wrong("usd", "a number >= 0");
  if (std::ranges::find(kUnits, unit) == std::end(kUnits)) return fields.wrong("unit", fmt::format("one of: {}", fmt::join(kUnits, "; ")));
  price.unit = std::move(unit);
  price.usd = usd->to_number<double>();
  return price;
}

}  // namespace

Result<std::vector<Price>> parse_prices(const json::array& prices) {
  std::vector<Price> out;
  for (size_t i = 0; i < prices.size(); ++i) {
    VERGE_ASSIGN(price, parse_price(prices[i], fmt::format("prices.{}", i)));
    out.push_back(std::move(price));
  }
  return out;
}

namespace {

Result<json::object> parse_schema(const json::value* value, const Fields& fields, const SchemaLookup& schemas) {
  if (!value) return json::object();
  if (value->is_string()) {
    const json::object* shared = schemas(value->get_string());
    if (!shared) return fields.wrong("schema", "the name of a shared schema or an object");
    return *shared;
  }
  const json::object* input = value->is_object() ? get_object(value->get_object(), "input") : nullptr;
  if (!input || !get_object(value->get_object(), "output")) return fields.wrong("schema", "an object with input and output");
  if (auto checked = check_schema(*input); !checked) return fail(Code::InvalidInput, "schema.input: {}", checked.error().message);
  return value->get_object();
}

}  // namespace

Result<Entry> parse_entry(const json::value& value, const SchemaLookup& schemas) {
  if (!value.is_object()) return fail(Code::InvalidInput, "must be an object");
  Fields fields(value.get_object(), "");
  Entry entry;
  VERGE_ASSIGN(id, fields.text("id", true));
  if (!valid_id(id)) return fields.wrong("id", "letters, digits, '.', '_', '-' in parts joined by '/', at most 128 characters");
  VERGE_ASSIGN(task, fields.text("task", true));
  if (task.empty() || task.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != task.npos)
    return fields.wrong("task", "a task's name such as text-generation");
  VERGE_ASSIGN(uuid, fields.text("uuid", false));
  VERGE_ASSIGN(description, fields.text("description", false));
  VERGE_ASSIGN(architecture, fields.text("architecture", false));
  VERGE_ASSIGN(licence, fields.text("licence", false));
  VERGE_ASSIGN(created_at, fields.text("created_at", false));
  if (!uuid.empty() && !is_uuid(uuid)) return fields.wrong("uuid", "a UUID");
  if (!created_at.empty() && !is_moment(created_at)) return fields.wrong("created_at", "a date such as 2026-05-30, or one with a time such as 2026-05-30 12:00:00");
  VERGE_ASSIGN(deprecated_on, fields.text("deprecated_on", false));
  if (!deprecated_on.empty() && !is_date(deprecated_on)) return fields.wrong("deprecated_on", "a date such as 2026-05-30");
  VERGE_ASSIGN(aliases, fields.texts("aliases"));
  for (const std::string& alias : aliases)
    if (!valid_id(alias)) return fields.wrong("aliases", "valid ids");
  VERGE_ASSIGN(tags, fields.texts("tags"));
  VERGE_ASSIGN(context_tokens, fields.count("context_tokens", task == "text-generation"));
  if (task == "text-generation" && context_tokens == 0) return fields.wrong("context_tokens", "at least 1");
  if (context_tokens > (1 << 30)) return fields.wrong("context_tokens", "at most 2^30");
  VERGE_ASSIGN(parameters, fields.count("parameters", false));
  VERGE_ASSIGN(stand_in, fields.flag("stand_in"));
  VERGE_ASSIGN(answer_shape, fields.text("answer_shape", false));
  if (!answer_shape.empty() && answer_shape != "native" && answer_shape != "openai")
    return fields.wrong("answer_shape", "native or openai");
  if (answer_shape == "openai" && task != "text-generation") return fields.wrong("answer_shape", "native, but for text-generation");
  VERGE_ASSIGN(properties, fields.object("properties"));
  VERGE_ASSIGN(defaults, fields.object("defaults"));
  VERGE_ASSIGN(sources, fields.array("sources"));
  for (size_t i = 0; i < sources.size(); ++i) {
    VERGE_ASSIGN(source, parse_source(sources[i], fmt::format("sources.{}", i)));
    entry.sources.push_back(std::move(source));
  }
  VERGE_ASSIGN(prices, fields.array("prices"));
  VERGE_ASSIGN(parsed_prices, parse_prices(prices));
  VERGE_ASSIGN(requests_per_minute, fields.count("requests_per_minute", false));
  if (requests_per_minute > 1'000'000) return fields.wrong("requests_per_minute", "at most 1,000,000");
  VERGE_ASSIGN(schema, parse_schema(fields.take("schema"), fields, schemas));
  VERGE_TRY(fields.rest());
  entry.id = std::move(id);
  entry.uuid = std::move(uuid);
  entry.task = std::move(task);
  entry.description = std::move(description);
  entry.architecture = std::move(architecture);
  entry.licence = std::move(licence);
  entry.created_at = std::move(created_at);
  entry.deprecated_on = std::move(deprecated_on);
  entry.aliases = std::move(aliases);
  entry.tags = std::move(tags);
  entry.context_tokens = static_cast<int>(context_tokens);
  entry.parameters = parameters;
  entry.prices = std::move(parsed_prices);
  entry.requests_per_minute = static_cast<int>(requests_per_minute);
  entry.stand_in = stand_in;
  if (!answer_shape.empty()) entry.answer_shape = std::move(answer_shape);
  entry.properties = std::move(properties);
  if (entry.properties.contains("output_dimensions") && embedding_width(entry) < 1)
    return fields.wrong("properties.output_dimensions", "a number of at least 1, as a string");
  entry.defaults = std::move(defaults);
  entry.schema = std::move(schema);
  return entry;
}

}  // namespace verge::catalogue
