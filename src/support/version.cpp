#include "support/version.h"

namespace verge {

const char* version() { return VERGE_VERSION; }

}  // namespace verge
