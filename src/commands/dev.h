#pragma once

namespace verge::commands {

int dev(int argc, char** argv);

}  // namespace verge::commands
