// A whole server as one object: api, router, node, accounts, hosted Workers and its place in a
// cluster, all on one loop and one thread; the engine's threads live in the models' processes.
//
//   VERGE_ASSIGN(server, Server::make(options));   // checks; nothing runs yet
//   VERGE_TRY(server->start());                    // listens, joins, starts processes
//   VERGE_ASSIGN(status, server->run());           // serves until a signal, drain() or stop()
//
// SV1 make() starts no thread, listener or process that outlives it, and refuses what start() or a
//     request would fail at later.
// SV2 drain() lets requests that have begun end within --drain; stop() cuts all limits of a drain
//     under way to nothing. Each signal does one: the first drains, the second stops.
// SV3 The destructor leaves nothing running: threads have joined, processes of models and Workers
//     have ended, listeners and files are closed, sockets' folders are gone. Parts go in the
//     reverse order of their making, after the last coroutine that may use them.
// SV4 A process that hangs in its end does not stay: see watchdog.h.
#pragma once

#include <cstdint>
#include <memory>

#include "server/options.h"
#include "support/error.h"

namespace verge::server {

class Server {
 public:
  // Errors: InvalidInput, Io, Forbidden, NoSuchModel and what is wrong with a model's files.
  static Result<std::unique_ptr<Server>> make(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Requests are answered from run() on. Errors: as make(), and addresses that cannot be listened
  // on. After an error only the destructor is left to call.
  Result<void> start();
  // Runs the loop on the calling thread until the end is over. The status for the process: 0, or
  // 128 + the signal that hurried the end. Errors: what made an end necessary, as a name in the
  // cluster that another node has.
  Result<int> run();

  // From any thread; run() returns when it is done.
  void drain();
  void stop();

  // Of the gateway's listener; 0 without one.
  uint16_t port() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace verge::server
