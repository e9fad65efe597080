// `verge serve`: the command line of a server (server/server.h).
#pragma once

namespace verge::commands {

int serve(int argc, char** argv);

}  // namespace verge::commands
