#pragma once

namespace verge::commands {

int wrangler(int argc, char** argv);

}  // namespace verge::commands
