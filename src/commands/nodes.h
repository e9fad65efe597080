#pragma once

namespace verge::commands {

int nodes(int argc, char** argv);

}  // namespace verge::commands
