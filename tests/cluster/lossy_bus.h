// A bus in memory that does to messages what networks do: loses, repeats, delays and reorders them, and can be cut.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/bus.h"
#include "support/random.h"

namespace verge::cluster::testing {

class LossyBus;

// What joins the buses of one test. Outlived by nothing of theirs.
class Wire {
 public:
  Wire(boost::asio::io_context& io, uint64_t seed) : io_(io), random_(seed) {}

  double loss = 0, repeat = 0;  // shares of all deliveries
  int delay_ms = 0;             // up to so long, each its own

  void cut(const std::string& a, const std::string& b) { cut_.insert({a, b}), cut_.insert({b, a}); }
  void heal() { cut_.clear(); }

  // Of what was sent, by subject.
  std::map<std::string, int> messages;
  std::map<std::string, size_t> bytes;
  std::map<std::string, Value> values;  // by bucket and key; all read them whatever is cut
  bool values_fail = false;

 private:
  friend class LossyBus;
  void send(const std::string& from, Message message);
  void arrive(const std::string& to, const Message& message);

  boost::asio::io_context& io_;
  Random random_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::map<std::string, LossyBus*> buses_;
};

class LossyBus final : public Bus {
 public:
  LossyBus(Wire& wire, std::string name) : wire_(wire), name_(std::move(name)) { wire_.buses_[name_] = this; }
  ~LossyBus() override { wire_.buses_.erase(name_); }

  bool up = true;

  void publish(const std::string& subject, const std::string& payload) override {
    if (up) wire_.send(name_, {subject, payload});
  }
  void subscribe(const std::string& subject, Handler handler) override { handlers_.emplace_back(subject, std::move(handler)); }
  bool connected() const override { return up; }
  std::string state() const override { return "in memory"; }
  task<Result<std::optional<Value>>> get(const std::string& bucket, const std::string& key) override {
    if (!up || wire_.values_fail) co_return fail(Code::Io, "none here");
    const auto found = wire_.values.find(bucket + "/" + key);
    co_return found == wire_.values.end() ? std::optional<Value>() : std::optional<Value>(found->second);
  }
  task<Result<std::optional<uint64_t>>> put_if(const std::string& bucket, const std::string& key, const std::string& data, uint64_t revision) override {
    if (!up || wire_.values_fail) co_return fail(Code::Io, "none here");
    Value& value = wire_.values[bucket + "/" + key];
    if (value.revision != revision) co_return std::optional<uint64_t>();
    value = {data, revision + 1};
    co_return std::optional<uint64_t>(value.revision);
  }
  task<Result<std::vector<std::pair<std::string, Value>>>> list(const std::string&) override { co_return fail(Code::Io, "none here"); }

 private:
  friend class Wire;
  static std::vector<std::string> words(const std::string& subject) {
    std::vector<std::string> out(1);
    for (char c : subject) {
      if (c == '.') out.emplace_back();
      else out.back() += c;
    }
    return out;
  }
  static bool matches(const std::string& pattern, const std::string& subject) {
    const auto a = words(pattern), b = words(subject);
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (a[i] != "*" && a[i] != b[i]) return false;
    return true;
  }

  Wire& wire_;
  std::string name_;
  std::vector<std::pair<std::string, Handler>> handlers_;
};

inline void Wire::send(const std::string& from, Message message) {
  ++messages[message.subject];
  bytes[message.subject] += message.payload.size();
  for (const auto& [to, bus] : buses_) {  // the speaker hears itself too, as on NATS
    if (cut_.count({from, to})) continue;
    const int copies = random_.chance(loss) ? 0 : random_.chance(repeat) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      auto timer = std::make_shared<boost::asio::steady_timer>(io_, std::chrono::milliseconds(random_.below(static_cast<uint64_t>(delay_ms) + 1)));
      timer->async_wait([this, timer, to = to, message](boost::system::error_code) { arrive(to, message); });
    }
  }
}

inline void Wire::arrive(const std::string& to, const Message& message) {
  const auto bus = buses_.find(to);
  if (bus == buses_.end() || !bus->second->up) return;
  for (const auto& [pattern, handler] : bus->second->handlers_)
    if (LossyBus::matches(pattern, message.subject)) handler(message);
}

}  // namespace verge::cluster::testing
