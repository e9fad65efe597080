// `verge ps`: what a running server has loaded.
#pragma once

namespace verge::commands {

int ps(int argc, char** argv);

}  // namespace verge::commands
