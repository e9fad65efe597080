// What machines of a cluster tell each other about themselves: small messages on named subjects, to whoever listens, and
// a few shared values that are changed by compare-and-set. Requests and answers never travel here.
//
// Handlers run on the executor's one thread.
// BU1 publish() never waits and never fails: what cannot be sent now is dropped. Every message is repeated or replaced by
//    the next one, so a reader sees gaps, never lies.
// BU2 A bus that has lost its servers goes on looking for them for ever; connected() tells.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/error.h"

namespace verge::cluster {

template <class T>
using task = boost::asio::awaitable<T>;

struct Message {
  std::string subject;
  std::string payload;
};
using Handler = std::function<void(const Message&)>;

struct Value {
  std::string data;
  uint64_t revision = 0;
};

class Bus {
 public:
  virtual ~Bus() = default;

  // Subjects are words with dots between them; in a subscription `*` is any one word and a last `>` all the rest.
  virtual void publish(const std::string& subject, const std::string& payload) = 0;
  virtual void subscribe(const std::string& subject, Handler handler) = 0;
  virtual bool connected() const = 0;
  // The end: what was published still goes out, but a lost server is no longer looked for.
  virtual void stop() {}
  // The server's address, or why there is none: for people.
  virtual std::string state() const = 0;

  // Shared values. nullopt: no such key. Errors: Io (no server, no answer).
  virtual task<Result<std::optional<Value>>> get(const std::string& bucket, const std::string& key) = 0;
  // Writes if the key's revision is still `revision` (0: there is none yet). The new revision, or nullopt where somebody
  // else was first. Errors: Io; then it is not known whether the value was written.
  virtual task<Result<std::optional<uint64_t>>> put_if(const std::string& bucket, const std::string& key, const std::string& data, uint64_t revision) = 0;
  // All keys with their values. Errors: Io.
  virtual task<Result<std::vector<std::pair<std::string, Value>>>> list(const std::string& bucket) = 0;
};

}  // namespace verge::cluster
