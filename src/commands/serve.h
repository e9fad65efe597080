// `verge serve`: wires api -> router -> node and runs them on one io thread.
#pragma once

namespace verge::commands {

int serve(int argc, char** argv);

}  // namespace verge::commands
