// Calls as JSON objects {"name", "arguments"}, with a mark before and behind: Hermes and Qwen,
// SmolLM, Granite, Phi, Mistral's older form, Llama's (no mark), and the generic form.
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

class JsonCalls final : public Syntax {
 public:
  struct Form {
    std::string_view name;
    std::string open, close;  // either may be empty; open empty: a call is the whole answer
    bool list = false;        // one list of all calls
    std::string_view arguments = "arguments";
    std::string_view gap = "";  // between mark and JSON, as the model writes it
    bool loose = false;  // fenced and bare JSON are calls too, where the answer begins with them
    std::string optional_open = {};  // a mark that may stand before the JSON where open is empty
    std::string_view name_key = "name";
    std::string_view id_key = {};  // a call's number, before its name; empty: it has none
  };
  explicit JsonCalls(Form form) : form_(std::move(form)) {}

  std::string_view name() const override { return form_.name; }
  std::vector<std::string> marks() const override;
  std::string render(std::span<const Call> calls) const override;
  std::unique_ptr<Parser> parser(std::span<const Function> functions) const override;
  std::string trigger(std::span<const Function> functions) const override;
  Result<CallParts> add(grammar::Envelope& envelope, std::span<const Function> functions,
                        bool parallel) const override;
  bool repeats() const override { return !form_.open.empty() && !form_.list; }

 private:
  Form form_;
};

}  // namespace verge::engine::tools
