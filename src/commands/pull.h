// `verge pull`: brings models onto this machine.
#pragma once

namespace verge::commands {

int pull(int argc, char** argv);

}  // namespace verge::commands
