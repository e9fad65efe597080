// `verge grammar`: what a schema admits, told for texts, without a model's weights.
#pragma once

namespace verge::commands {

int grammar(int argc, char** argv);

}  // namespace verge::commands
