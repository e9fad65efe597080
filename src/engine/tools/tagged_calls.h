// Calls with a tag around each argument: Qwen3-Coder's and Nemotron's XML, GLM, MiniMax, and DeepSeek
// from V3.2 on. A value is raw text where the schema says string, else JSON.
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

const Syntax& qwen_xml();
const Syntax& glm();
const Syntax& minimax();
const Syntax& deepseek_32();
const Syntax& deepseek_4();

}  // namespace verge::engine::tools
