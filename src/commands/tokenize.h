// `verge tokenize`: the token ids of a text.
#pragma once

namespace verge::commands {

int tokenize(int argc, char** argv);

}  // namespace verge::commands
