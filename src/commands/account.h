// `verge account`: what accounts may use.
#pragma once

namespace verge::commands {

int account(int argc, char** argv);

}  // namespace verge::commands
