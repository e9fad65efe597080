// A worker process: spawned with a status pipe (fd 3) and an already listening unix socket (fd 4).
// Owner: node.cpp, on its io thread. Callbacks come on that thread, on_exit exactly once and last.
// Destroying a Child kills its process.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::node {

struct ChildCallbacks {
  std::function<void(const json::object&)> on_status;  // one line of the status pipe
  std::function<void(const std::string&)> on_exit;     // "exit 0", "signal 9"
};

class Child {
 public:
  virtual ~Child() = default;
  virtual int pid() const = 0;
  virtual const std::string& socket_path() const = 0;
  // A line for its standard input, which a model's process never reads. Lost where the child does not read.
  virtual void say(std::string_view line) = 0;
  virtual void terminate() = 0;  // SIGTERM: it drains and ends
  virtual void kill() = 0;       // SIGKILL

  // The variables that the child gets: none of ours where it reads foreign files, all of them where it is the
  // operator's own program (Node needs HOME, PATH, proxies).
  enum class Environment { Bare, Ours };

  // `argv[0]` is the program. `socket_path` must be free and short enough for a unix address (Io).
  static Result<std::unique_ptr<Child>> spawn(boost::asio::any_io_executor executor, const std::vector<std::string>& argv,
                                              const std::string& socket_path, ChildCallbacks callbacks,
                                              Environment environment = Environment::Bare);
};

// A private folder (0700) for worker sockets, in $XDG_RUNTIME_DIR or the temporary folder;
// removed with its sockets on destruction.
class SocketFolder {
 public:
  static Result<std::unique_ptr<SocketFolder>> make();
  ~SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  std::string next();  // a new path

 private:
  explicit SocketFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  int count_ = 0;
};

}  // namespace verge::node
