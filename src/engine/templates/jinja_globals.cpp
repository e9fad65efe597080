#include <ctime>

#include "engine/templates/jinja_filters.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// The functions that every template can call: Jinja's own (range, dict, namespace, cycler, joiner)
// and those that transformers adds (raise_exception, strftime_now).
namespace verge::engine::jinja {
namespace {

Result<Value> g_range(Runtime&, Args& args) {
  VERGE_ASSIGN(a, args.bind("range", {"start", "stop", "step"}, 1));
  int64_t values[3] = {0, 0, 1};
  size_t given = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (a[i].missing()) continue;
    VERGE_ASSIGN(n, integer_argument(a[i], "range()'s argument"));
    values[i] = n;
    ++given;
  }
  auto range = std::make_shared<RangeObject>();
  range->start = given == 1 ? 0 : values[0];
  range->stop = given == 1 ? values[0] : values[1];
  range->step = values[2];
  if (range->step == 0) return type_error("range() arg 3 must not be zero");
  Int span = static_cast<Int>(range->stop) - range->start, step = range->step;
  Int length = (step > 0 ? span > 0 : span < 0) ? (span + step - (step > 0 ? 1 : -1)) / step : 0;
  if (length > limits::kTemplateRange) {
    return type_error(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", limits::kTemplateRange));
  }
  range->length = static_cast<int64_t>(length);
  return Value::object(Kind::Range, std::move(range));
}

// What dict() and namespace() are given: a mapping or pairs, then keywords.
Result<std::shared_ptr<DictObject>> mapping(Runtime& rt, const Args& args, std::string_view function) {
  if (args.positional.size() > 1) return type_error(fmt::format("{} expected at most 1 argument, got {}", function, args.positional.size()));
  auto d = rt.new_dict();
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::Dict)) {
      for (const auto& [key, value] : source.as<DictObject>().entries) d->set(key, value);
    } else {
      VERGE_ASSIGN(items, rt.iterate(source));
      for (const Value& item : items) {
        VERGE_ASSIGN(pair, rt.iterate(item));
        if (pair.count != 2) return type_error("dictionary update sequence element has length other than 2");
        if (!hashable(pair.first[0])) return type_error(fmt::format("unhashable type: '{}'", type_name(pair.first[0])));
        d->set(pair.first[0], pair.first[1]);
      }
    }
  }
  // A name may come from **mapping.
  for (const auto& [name, value] : args.named) d->set(rt.string(ForeignText(name, true)), value);
  return d;
}

Result<Value> g_dict(Runtime& rt, Args& args) {
  VERGE_ASSIGN(d, mapping(rt, args, "dict"));
  return rt.dict(std::move(d));
}

Result<Value> g_namespace(Runtime& rt, Args& args) {
  VERGE_ASSIGN(d, mapping(rt, args, "namespace"));
  Value ns = rt.new_namespace();
  for (auto& [key, value] : d->entries) {
    if (!key.is(Kind::String)) continue;  // no attribute could name it
    if (key.text().starts_with('_')) return type_error("chat templates cannot store underscore-prefixed attributes on a namespace");
    ns.mutable_as<NamespaceObject>().attributes.emplace_back(std::string(key.text()), value);
  }
  return ns;
}

Result<Value> g_cycler(Runtime& rt, Args& args) {
  if (!args.named.empty()) return type_error("cycler() takes no keyword arguments");
  if (args.positional.empty()) return type_error("at least one item has to be provided");
  return rt.helper(false, args.positional);
}

Result<Value> g_joiner(Runtime& rt, Args& args) {
  VERGE_ASSIGN(a, args.bind("joiner", {"sep"}, 0));
  return rt.helper(true, {a[0].missing() ? rt.string(", ") : a[0]});
}

Result<Value> g_raise_exception(Runtime& rt, Args& args) {
  VERGE_ASSIGN(a, args.bind("raise_exception", {"message"}, 1));
  VERGE_ASSIGN(message, rt.str(a[0]));
  rt.raised = true;
  return Error{Code::InvalidInput, std::move(message.text)};
}

// The time is UTC: a rendering depends on its inputs only, not on where it runs.
Result<Value> g_strftime_now(Runtime& rt, Args& args) {
  VERGE_ASSIGN(a, args.bind("strftime_now", {"format"}, 1));
  if (!a[0].is(Kind::String)) return type_error(fmt::format("strftime() argument 1 must be str, not {}", type_name(a[0])));
  std::string format;
  std::string_view given = a[0].text();
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] != '%' || i + 1 == given.size()) {
      format.push_back(given[i]);
      continue;
    }
    // What a Python time without zone and with microseconds gives.
    char c = given[++i];
    if (c == 'f') format += "000000";
    else if (c != 'z' && c != 'Z') format += {'%', c};
  }
  VERGE_TRY(rt.reserve(format.size() * 64));
  std::time_t now = static_cast<std::time_t>(rt.now_unix_s());
  std::tm parts{};
  if (!gmtime_r(&now, &parts)) return type_error("the time is out of range");
  std::string out(format.size() * 64 + 1, '\0');  // no conversion is longer in the C locale
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &parts));
  return rt.string(ForeignText(std::move(out), !a[0].foreign().empty()));
}

Result<Value> g_lipsum(Runtime&, Args&) { return type_error("lipsum() is not supported in chat templates"); }

}  // namespace

Value find_global(Runtime& rt, std::string_view name) {
  using Function = Result<Value> (*)(Runtime&, Args&);
  static constexpr std::pair<std::string_view, Function> kGlobals[] = {
      {"cycler", g_cycler}, {"dict", g_dict},   {"joiner", g_joiner},
      {"lipsum", g_lipsum}, {"namespace", g_namespace}, {"raise_exception", g_raise_exception},
      {"range", g_range},   {"strftime_now", g_strftime_now},
  };
  for (const auto& [known, function] : kGlobals) {
    if (known == name) return rt.function(std::string(name), function);
  }
  return Value();
}

}  // namespace verge::engine::jinja
