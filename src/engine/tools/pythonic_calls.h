// Calls as Python writes them: Llama 3.2's small ones, Llama 4. [f(a="x", b=1), g()]
#pragma once

#include "engine/tools/syntax.h"

namespace verge::engine::tools {

const Syntax& pythonic();

}  // namespace verge::engine::tools
