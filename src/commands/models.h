// `verge models`: what the catalogue has, and what of it is on this machine.
#pragma once

namespace verge::commands {

int models(int argc, char** argv);

}  // namespace verge::commands
