#pragma once

namespace verge {

const char* version();  // "0.1.0", as CMakeLists.txt says it

}  // namespace verge
