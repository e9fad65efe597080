#pragma once

namespace verge::commands {

int convert(int argc, char** argv);

}  // namespace verge::commands
