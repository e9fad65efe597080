// Calls as a name between marks, then the arguments as JSON: Mistral's newer form, DeepSeek, Kimi,
// gpt-oss.
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

class NamedCalls final : public Syntax {
 public:
  struct Form {
    std::string_view name;
    std::string section_open = {};  // before the first call; may be empty
    std::string open;               // before each
    std::string before_name;        // behind it, as the model writes it
    std::string
        after_name;     // up to the arguments, as the model writes it; "{n}" is the call's number
    std::string close;  // behind the arguments
    std::string section_close;  // behind the last call
    std::string
        arguments_mark;    // the last mark before the arguments: what is before it holds the name
    std::string name_end;  // where the name ends, if before that mark
    std::vector<std::string> more_marks = {};
    std::string_view separator = "";
    bool repeats = true;
  };
  explicit NamedCalls(Form form) : form_(std::move(form)) {}

  std::string_view name() const override { return form_.name; }
  std::vector<std::string> marks() const override;
  std::string render(std::span<const Call> calls) const override;
  std::unique_ptr<Parser> parser(std::span<const Function> functions) const override;
  std::string trigger(std::span<const Function> functions) const override;
  Result<CallParts> add(grammar::Envelope& envelope, std::span<const Function> functions,
                        bool parallel) const override;
  bool repeats() const override { return form_.repeats && form_.section_open.empty(); }

 private:
  Form form_;
};

}  // namespace verge::engine::tools
