// Calls with a tag around each argument: Qwen3-Coder's and Nemotron's XML, GLM. A value is raw text
// where the schema says string, else JSON.
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

const Syntax& qwen_xml();
const Syntax& glm();

}  // namespace verge::engine::tools
