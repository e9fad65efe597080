// `verge inspect PATH`: ModelFacts as JSON, or {"error": {"code", "message"}}, on stdout. The node runs
// it for files that it does not know (node/io/inspect_process.h).
#pragma once

namespace verge::commands {

int inspect(int argc, char** argv);

}  // namespace verge::commands
