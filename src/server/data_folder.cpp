#include "server/data_folder.h"

#include <cstdlib>

namespace verge::server {

std::string default_data_folder() {
  const char* data = std::getenv("XDG_DATA_HOME");
  if (data && *data) return std::string(data) + "/verge";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : ".") + "/.local/share/verge";
}

}  // namespace verge::server
