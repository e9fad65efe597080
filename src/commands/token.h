// `verge token`: creates, lists and revokes API tokens.
#pragma once

namespace verge::commands {

int token(int argc, char** argv);

}  // namespace verge::commands
