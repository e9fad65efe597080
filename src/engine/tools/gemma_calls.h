// Calls in Gemma's own notation, JSON with bare keys and quotes of its own: FunctionGemma, Gemma 4.
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

const Syntax& function_gemma();
const Syntax& gemma4();

}  // namespace verge::engine::tools
