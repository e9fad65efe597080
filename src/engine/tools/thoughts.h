// How a family of models marks what it thinks before it answers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::engine::tools {

struct Thought {
  std::string open, close;
  // Marks that stand before what is said, and before a call (gpt-oss); they are shown to nobody.
  std::vector<std::string> before_text;
  std::string before_call = {};
  std::vector<std::string> marks() const;
};

// Null: the template's model has no marks for thoughts, or none that is known here.
const Thought* find_thought(std::string_view chat_template);
// Whether the prompt ends inside a thought, so that the answer begins there.
bool begins_inside(const Thought& thought, std::string_view prompt);
// Whether the prompt itself has shown an empty thought, so that none comes.
bool is_closed(const Thought& thought, std::string_view prompt);

}  // namespace verge::engine::tools
