// Where a server keeps its state unless --data says otherwise.
#pragma once

#include <string>

namespace verge::server {

// $XDG_DATA_HOME/verge, else ~/.local/share/verge.
std::string default_data_folder();

}  // namespace verge::server
