#pragma once

namespace verge::commands {

int host(int argc, char** argv);

}  // namespace verge::commands
