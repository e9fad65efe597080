// `verge backup`: a copy of a data folder, whose server may be running.
#pragma once

namespace verge::commands {

int backup(int argc, char** argv);

}  // namespace verge::commands
