#pragma once

namespace verge::commands {

int place(int argc, char** argv);

}  // namespace verge::commands
