// Arbitrary bytes as a model's answer, in every syntax of calls and with every mark of thoughts:
// read at once and cut by the first byte, the pieces come to the same, and calls do not interleave.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/tools/answer.h"

namespace {

using namespace verge::engine::tools;

std::string read(const AnswerForm& form, std::string_view text, size_t step) {
  const auto parser = answer_parser(form);
  std::vector<Delta> all;
  for (size_t at = 0; at < text.size(); at += step) parser->push(text.substr(at, step), all);
  parser->finish(all);
  std::string said, thought, calls;
  size_t open = 0;
  for (const Delta& delta : all) {
    if (delta.kind == Delta::Kind::Text) said += delta.text;
    if (delta.kind == Delta::Kind::Reasoning) thought += delta.text;
    if (delta.kind == Delta::Kind::Call) {
      if (delta.index != open++) abort();
      calls += "\n" + delta.name + ":";
    }
    if (delta.kind == Delta::Kind::Arguments) {
      if (delta.index + 1 != open) abort();
      calls += delta.text;
    }
  }
  return said + "\x01" + thought + "\x01" + calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  static const std::vector<const Syntax*> syntaxes = all_syntaxes();
  static const char* const templates[] = {"", "<think>", "[THINK]", "<|channel|> analysis",
                                          "<|channel>thought"};
  AnswerForm form;
  form.syntax = syntaxes[data[0] % syntaxes.size()];
  form.thought = find_thought(templates[data[1] % 5]);
  form.inside = form.thought && data[1] % 2;
  form.functions = {{"f", R"({"type":"object","properties":{"a":{"type":"string"},"b":{}}})", ""},
                    {"g", "{}", ""}};
  const std::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);
  if (read(form, text, text.size() + 1) != read(form, text, 1 + data[2] % 7)) abort();
  return 0;
}
