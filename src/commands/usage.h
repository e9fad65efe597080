// `verge usage`: what accounts have used.
#pragma once

namespace verge::commands {

int usage(int argc, char** argv);

}  // namespace verge::commands
