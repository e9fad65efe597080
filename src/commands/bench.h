// `verge bench`: what a model does on this machine.
#pragma once

namespace verge::commands {

int bench(int argc, char** argv);

}  // namespace verge::commands
