#include "api/tasks/reasoning.h"

#include <algorithm>
#include <array>

#include "support/text.h"

namespace verge::api {
namespace {

constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                      "high", "xhigh",   "max"};

struct Row {
  std::string_view model;  // how the last part of its id begins
  std::string_view usual;  // without a wish; empty: the model has no levels
  std::array<std::string_view, 7> becomes;  // of kEfforts; an empty one leaves the thought out
  bool always = false;                      // it can't be told not to think
};

constexpr std::string_view kOff = {};

// Published by the models' schemas of November 2026. Where one says nothing of a word, it is the
// nearest level.
constexpr Row kRows[] = {
    {"gpt-oss-", "medium", {"low", "low", "low", "medium", "high", "high", "high"}, true},
    {"kimi-k2.6", "high", {"none", "high", "high", "high", "high", "high", "high"}},
    {"kimi-k2.7-code", "", {}, true},
    {"glm-5.2", "max", {"none", "none", "high", "high", "high", "max", "max"}},
    {"glm-5.3", "max", {"max", "max", "low", "max", "high", "max", "max"}, true},
    {"deepseek-v4-", "high", {"none", "low", "low", "high", "high", "high", "max"}},
    {"qwen3.8-27b", "xhigh", {kOff, "low", "low", "medium", "xhigh", "xhigh", "xhigh"}},
};

const Row* find_row(std::string_view id) {
  const std::string name = ascii_lower(id.substr(id.rfind('/') + 1));
  const auto row = std::ranges::find_if(
      kRows, [&](const Row& one) { return std::string_view(name).starts_with(one.model); });
  return row == std::end(kRows) ? nullptr : row;
}

std::vector<std::string> levels_of(const Row& row) {
  std::vector<std::string> out;
  for (std::string_view level : row.becomes)
    if (!level.empty() && std::ranges::find(out, level) == out.end()) out.emplace_back(level);
  return out;
}

// The template's switch, which such a model does not have.
void refuse_switch(Params& in) {
  const json::object* variables = in.object("chat_template_kwargs");
  if (!variables) return;
  for (const char* name : {"enable_thinking", "thinking"})
    if (const json::value* value = variables->if_contains(name); value && *value == false)
      return in.refuse(fail_at(Code::UnsupportedParameter,
                            fmt::format("/chat_template_kwargs/{}", name),
                            "'/chat_template_kwargs/{}' is not supported: this model always thinks",
                            name));
}

}  // namespace

void read_reasoning(Params& in, const catalogue::Entry& entry, TextRequest& out) {
  const auto effort = in.text("reasoning_effort");
  const bool asked = effort && !effort->empty();
  const auto known = asked ? std::ranges::find(kEfforts, *effort) : kEfforts.end();
  if (asked && known == kEfforts.end())
    return in.refuse(fail_at(Code::InvalidInput, "/reasoning_effort", "enum {:.32} not in {} at '/reasoning_effort'",
                          *effort, fmt::join(kEfforts, ",")));
  const Row* row = find_row(entry.id);
  if (row && row->always) refuse_switch(in);
  if (!row) {
    if (asked) out.params.reasoning_effort = *effort;
    return;
  }
  if (row->usual.empty()) return;  // it thinks as much as it does
  const std::string_view level =
      asked ? row->becomes[static_cast<size_t>(known - kEfforts.begin())] : row->usual;
  out.params.reasoning_effort = level.empty() ? "none" : level;
  out.params.reasoning_levels = levels_of(*row);
  out.params.reasoning_usual = !asked;
}

}  // namespace verge::api
