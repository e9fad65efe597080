// Asking a running server from the command line.
#pragma once

#include <string>

#include "support/error.h"
#include "support/json.h"

namespace verge::commands {

inline constexpr const char* kDefaultServer = "http://127.0.0.1:8780";

// $VERGE_SERVER, else kDefaultServer.
std::string default_server();

// GET of a JSON document; `token` is sent as a bearer where it is not empty. Io where nobody listens,
// else the server's own message with the code its status maps to.
Result<json::value> get_json(const std::string& server, const std::string& path, const std::string& token);

// PUT of one, alike.
Result<json::value> put_json(const std::string& server, const std::string& path, const json::object& body, const std::string& token);

}  // namespace verge::commands
