// `verge run`: one answer, or a chat, in this process or from a server.
#pragma once

namespace verge::commands {

int run(int argc, char** argv);

}  // namespace verge::commands
