// `verge worker`: one model's process, started by the node. Not for people.
#pragma once

namespace verge::commands {

int worker(int argc, char** argv);

}  // namespace verge::commands
