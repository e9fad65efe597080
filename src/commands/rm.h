// `verge rm`: takes pulled models off this machine.
#pragma once

namespace verge::commands {

int rm(int argc, char** argv);

}  // namespace verge::commands
