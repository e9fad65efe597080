#include "tests/paths.h"

namespace verge {

const char* test_data_folder() { return VERGE_SOURCE_DIR "/tests/data"; }
const char* source_folder() { return VERGE_SOURCE_DIR; }

}  // namespace verge
