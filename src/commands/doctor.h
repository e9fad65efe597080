// `verge doctor`: what of this machine Verge uses, and what to mend.
#pragma once

namespace verge::commands {

int doctor(int argc, char** argv);

}  // namespace verge::commands
