// Memory that is given back before its owner goes.
#pragma once

#include <string>

namespace verge {

// Empties a string and frees what it holds. Neither clear() nor assigning an empty string does: libstdc++ copies a short one into
// the memory that is there and keeps it.
inline void release(std::string& text) { std::string().swap(text); }

}  // namespace verge
