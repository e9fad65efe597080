#pragma once

namespace verge::commands {

int cluster(int argc, char** argv);

}  // namespace verge::commands
