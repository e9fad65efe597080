// libnats has threads of its own. Nothing of theirs touches our state: messages and changes of the connection are posted to
// the executor. Calls that wait for the server (JetStream) run on a thread that belongs to the bus, and while the connection is away all
// calls do: libnats holds its lock while it waits for a server that accepts and says nothing.
#include "cluster/nats_bus.h"

#include <nats/nats.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include "cluster/nats_diagnosis.h"
#include "cluster/nkey.h"
#include "support/limits.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/pool.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

constexpr int kConnectMs = 2'000;
constexpr int kReconnectMs = 500;
constexpr int kWatchMs = 1'000;
constexpr int kFirstComplaintMs = 2'500, kComplaintMs = 30'000;
constexpr int kWriteMs = 1'000;    // a server that stands still must not hold the io thread, which publishes
constexpr int kPingMs = 2'000;     // two unanswered ones: the server is gone
constexpr int kRequestMs = limits::kLeaseStoreMs;  // of a JetStream call: requests may wait for it

Error nats_error(natsStatus status, std::string_view what) { return fail(Code::Io, "NATS: {}: {}", what, natsStatus_GetText(status)); }

template <class T, void (*destroy)(T*)>
struct Destroy {
  void operator()(T* p) const { destroy(p); }
};
template <class T, void (*destroy)(T*)>
using Owned = std::unique_ptr<T, Destroy<T, destroy>>;

class NatsBus : public Bus {
 public:
  NatsBus(asio::any_io_executor executor, NatsOptions options) : options_(std::move(options)), shared_(std::make_shared<Shared>(std::move(executor))), pool_(std::make_unique<Pool>(1)) {}
  ~NatsBus() override {
    shared_->closed = true;
    stop();
    for (natsSubscription* one : subscriptions_) natsSubscription_Unsubscribe(one);
    if (connection_.load()) natsConnection_Close(connection_);  // no callback runs after this returns, except those posted
    pool_.reset();
    for (auto& [name, bucket] : buckets_) kvStore_Destroy(bucket);
    if (jetstream_) jsCtx_Destroy(jetstream_);
    for (natsSubscription* one : subscriptions_) natsSubscription_Destroy(one);
    for (natsConnection* one : former_) natsConnection_Destroy(one);
    natsConnection_Destroy(connection_);
    natsOptions_Destroy(nats_);
  }

  Result<void> open();

  void publish(const std::string& subject, const std::string& payload) override {
    // While the connection is away libnats would keep messages and send old news later.
    if (connected()) (void)natsConnection_Publish(connection_, subject.c_str(), payload.data(), static_cast<int>(payload.size()));
  }

  void subscribe(const std::string& subject, Handler handler) override {
    listening_.push_back({subject, handler});
    listen(subject, std::move(handler));
  }
  void listen(const std::string& subject, Handler handler) {
    auto* closure = new Subscriber{shared_, std::move(handler)};
    natsSubscription* subscription = nullptr;
    const natsStatus status = natsConnection_Subscribe(&subscription, connection_, subject.c_str(), on_message, closure);
    if (status != NATS_OK) {
      log::error("cannot listen on the bus", {{"subject", subject}, {"why", natsStatus_GetText(status)}});
      delete closure;
      return;
    }
    natsSubscription_SetOnCompleteCB(subscription, on_complete, closure);
    // A burst is dropped rather than kept: what comes next replaces it.
    natsSubscription_SetPendingLimits(subscription, 65'536, 64 << 20);
    subscriptions_.push_back(subscription);
  }

  bool connected() const override { return up_; }
  // A signal must not be given to a coroutine that has ended: it leaves its slot as it is.
  void stop() override {
    if (std::exchange(shared_->watched, false)) shared_->watching.emit(asio::cancellation_type::terminal);
  }

  std::string state() const override {
    char url[256] = "";
    if (connected() && natsConnection_GetConnectedUrl(connection_, url, sizeof url) == NATS_OK) return url;
    return fmt::format("{} cannot be reached{}{}", options_.servers, why_.empty() ? "" : ": ", why_);
  }

  task<Result<std::optional<Value>>> get(const std::string& bucket, const std::string& key) override {
    return on_pool<std::optional<Value>>([this, bucket, key] { return get_now(bucket, key); });
  }
  task<Result<std::optional<uint64_t>>> put_if(const std::string& bucket, const std::string& key, const std::string& data, uint64_t revision) override {
    return on_pool<std::optional<uint64_t>>([this, bucket, key, data, revision] { return put_now(bucket, key, data, revision); });
  }
  task<Result<std::vector<std::pair<std::string, Value>>>> list(const std::string& bucket) override {
    return on_pool<std::vector<std::pair<std::string, Value>>>([this, bucket] { return list_now(bucket); });
  }

 private:
  // What callbacks may reach: it outlives the bus where a posted handler still refers to it.
  struct Shared {
    explicit Shared(asio::any_io_executor e) : executor(std::move(e)) {}
    asio::any_io_executor executor;
    std::atomic<bool> closed{false};
    asio::cancellation_signal watching;
    bool watched = false;
  };
  struct Subscriber {
    std::shared_ptr<Shared> shared;
    Handler handler;
  };

  static void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    auto* subscriber = static_cast<Subscriber*>(closure);
    Message copy;
    copy.subject = natsMsg_GetSubject(message);
    copy.payload.assign(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
    asio::post(subscriber->shared->executor, [shared = subscriber->shared, handler = subscriber->handler, copy = std::move(copy)] {
      if (!shared->closed) handler(copy);
    });
  }
  static void on_complete(void* closure) { delete static_cast<Subscriber*>(closure); }

  static void say(void* closure, log::Level level, const char* what, natsConnection* connection) {
    auto* bus = static_cast<NatsBus*>(closure);
    if (bus->shared_->closed) return;
    char url[256] = "";
    natsConnection_GetConnectedUrl(connection, url, sizeof url);
    log::write(level, what, {{"server", *url ? std::string(url) : bus->options_.servers}});
  }
  static void on_disconnected(natsConnection* connection, void* closure) {
    static_cast<NatsBus*>(closure)->up_ = false;
    say(closure, log::Level::Warn, "the bus is away; nodes that are known are used meanwhile", connection);
  }
  static void on_reconnected(natsConnection* connection, void* closure) {
    static_cast<NatsBus*>(closure)->up_ = true;
    say(closure, log::Level::Info, "the bus is back", connection);
  }
  static void on_connected(natsConnection* connection, void* closure) {
    static_cast<NatsBus*>(closure)->up_ = true;
    say(closure, log::Level::Info, "connected to the bus", connection);
  }
  static void on_error(natsConnection*, natsSubscription*, natsStatus status, void* closure) {
    auto* bus = static_cast<NatsBus*>(closure);
    if (!bus->shared_->closed) log::warn("bus", {{"error", natsStatus_GetText(status)}});
  }

  template <class T>
  task<Result<T>> on_pool(std::function<Result<T>()> f) {
    return pool_->run<T>([f = std::move(f)](const Pool::Abandoned&) { return f(); });
  }

  task<void> watch(std::shared_ptr<Shared> shared);
  task<void> reopen(std::shared_ptr<Shared> shared);
  Result<kvStore*> bucket(const std::string& name);
  Result<std::optional<Value>> get_now(const std::string& bucket, const std::string& key);
  Result<std::optional<uint64_t>> put_now(const std::string& bucket, const std::string& key, const std::string& data, uint64_t revision);
  Result<std::vector<std::pair<std::string, Value>>> list_now(const std::string& bucket);

  NatsOptions options_;
  std::shared_ptr<Shared> shared_;
  natsOptions* nats_ = nullptr;
  std::atomic<bool> up_{false};  // as libnats' callbacks last said
  std::string why_;              // it is not
  std::atomic<natsConnection*> connection_{nullptr};  // set on the executor, used on the pool's thread too
  std::vector<natsConnection*> former_;               // closed for good; kept, for a call on the pool may be using one
  struct Listening {
    std::string subject;
    Handler handler;
  };
  std::vector<Listening> listening_;
  std::vector<natsSubscription*> subscriptions_;
  // Of the pool's thread alone.
  jsCtx* jetstream_ = nullptr;
  std::map<std::string, kvStore*> buckets_;
  std::unique_ptr<Pool> pool_;
};

Result<void> NatsBus::open() {
  natsStatus status = natsOptions_Create(&nats_);
  auto set = [&](natsStatus next) {
    if (status == NATS_OK) status = next;
  };
  std::vector<std::string> urls;
  std::istringstream list(options_.servers);
  for (std::string url; std::getline(list, url, ',');) {
    if (!url.starts_with("nats://") && !url.starts_with("tls://")) return fail(Code::InvalidInput, "--cluster wants nats://HOST:PORT, not '{}'", url);
    if (url.find('@') != std::string::npos) return fail(Code::InvalidInput, "--cluster: no user or password in the address; keys come from `verge cluster join`");
    urls.push_back(url);
  }
  if (urls.empty()) return fail(Code::InvalidInput, "--cluster wants nats://HOST:PORT");
  std::vector<const char*> texts;
  for (const std::string& url : urls) texts.push_back(url.c_str());
  set(natsOptions_SetServers(nats_, texts.data(), static_cast<int>(texts.size())));
  set(natsOptions_SetName(nats_, options_.name.c_str()));
  set(natsOptions_SetTimeout(nats_, kConnectMs));
  set(natsOptions_SetAllowReconnect(nats_, true));
  set(natsOptions_SetMaxReconnect(nats_, -1));
  set(natsOptions_SetReconnectWait(nats_, kReconnectMs));
  set(natsOptions_SetPingInterval(nats_, kPingMs));
  set(natsOptions_SetMaxPingsOut(nats_, 2));
  set(natsOptions_SetSendAsap(nats_, true));
  set(natsOptions_SetWriteDeadline(nats_, kWriteMs));
  set(natsOptions_SetFailRequestsOnDisconnect(nats_, true));
  set(natsOptions_SetCustomInboxPrefix(nats_, ("_INBOX." + options_.name).c_str()));
  set(natsOptions_SetRetryOnFailedConnect(nats_, true, on_connected, this));
  set(natsOptions_SetDisconnectedCB(nats_, on_disconnected, this));
  set(natsOptions_SetReconnectedCB(nats_, on_reconnected, this));
  set(natsOptions_SetErrorHandler(nats_, on_error, this));
  if (!options_.ca_file.empty()) {
    set(natsOptions_SetSecure(nats_, true));
    set(natsOptions_LoadCATrustedCertificates(nats_, options_.ca_file.c_str()));
    set(natsOptions_LoadCertificatesChain(nats_, options_.certificate_file.c_str(), options_.key_file.c_str()));
    set(natsOptions_SetExpectedHostname(nats_, kNatsServerName));
  }
  if (status != NATS_OK) return nats_error(status, "options");
  if (!options_.nkey_seed_file.empty()) {
    std::ifstream file(options_.nkey_seed_file);
    std::string seed;
    if (!std::getline(file, seed)) return fail(Code::Io, "cannot read {}", options_.nkey_seed_file);
    auto key = nkey_of_seed(seed);
    if (!key) return fail(Code::InvalidInput, "{}: {}", options_.nkey_seed_file, key.error().message);
    set(natsOptions_SetNKeyFromSeed(nats_, key->public_key.c_str(), options_.nkey_seed_file.c_str()));
  }
  if (status != NATS_OK) return nats_error(status, "NKey");
  natsConnection* connection = nullptr;
  status = natsConnection_Connect(&connection, nats_);
  connection_ = connection;
  if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED) return nats_error(status, options_.servers);
  if (status == NATS_OK) on_connected(connection_, this);
  shared_->watched = true;
  spawn(shared_->executor, "watching the bus", shared_->watching.slot(), [this, shared = shared_] { return watch(shared); },
        [shared = shared_](std::exception_ptr) { shared->watched = false; });
  return {};
}

// An operator who looks at the log sees that the bus is away, and why, without having seen the moment when it went. And
// libnats gives up on a server that refuses it twice, as one does that has not yet been told of a new member: BU2 says for ever.
task<void> NatsBus::watch(std::shared_ptr<Shared> shared) {
  asio::steady_timer timer(shared->executor);
  for (int64_t complain_at = monotonic_ms() + kFirstComplaintMs;;) {
    timer.expires_after(std::chrono::milliseconds(kWatchMs));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (shared->closed) co_return;
    bool gone = false;
    if (!connected()) {
      auto asking = on_pool<std::pair<natsConnStatus, std::string>>([this]() -> Result<std::pair<natsConnStatus, std::string>> {
        const char* text = nullptr;
        const natsStatus status = natsConnection_GetLastError(connection_, &text);
        return std::pair(natsConnection_Status(connection_), std::string(text && *text ? text : status != NATS_OK ? natsStatus_GetText(status) : ""));
      });
      auto asked = co_await std::move(asking);
      if (shared->closed || !asked) co_return;
      gone = asked->first == NATS_CONN_STATUS_CLOSED;
      const std::string refused = asked->second;
      // Before the log is told, and not at each look: it knocks at every server.
      if (why_.empty() || monotonic_ms() >= complain_at) {
        auto diagnosing = on_pool<std::string>([options = options_, refused]() -> Result<std::string> { return diagnose_nats(options, refused); });
        auto diagnosed = co_await std::move(diagnosing);
        if (shared->closed) co_return;
        why_ = diagnosed && !diagnosed->empty() ? *diagnosed : refused;
      }
    } else {
      why_.clear();
    }
    if (monotonic_ms() >= complain_at) {
      complain_at = monotonic_ms() + kComplaintMs;
      if (!connected()) log::warn("the bus cannot be reached; trying on", {{"why", state()}});
    }
    if (gone) {
      co_await reopen(shared);
      if (shared->closed) co_return;
    }
  }
}

task<void> NatsBus::reopen(std::shared_ptr<Shared> shared) {
  // Connecting waits for the network, and what hangs on the old connection is the pool's thread's.
  auto fresh = co_await on_pool<natsConnection*>([this]() -> Result<natsConnection*> {
    for (auto& [name, bucket] : buckets_) kvStore_Destroy(bucket);
    buckets_.clear();
    if (jetstream_) jsCtx_Destroy(std::exchange(jetstream_, nullptr));
    natsConnection* connection = nullptr;
    const natsStatus status = natsConnection_Connect(&connection, nats_);
    if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED) return nats_error(status, options_.servers);
    if (status == NATS_OK) on_connected(connection, this);
    return connection;
  });
  if (!fresh) co_return;
  if (shared->closed) {
    natsConnection_Destroy(*fresh);
    co_return;
  }
  former_.push_back(connection_.exchange(*fresh));
  for (const Listening& one : listening_) listen(one.subject, one.handler);
}

// ---- Shared values, on the pool's thread

Result<kvStore*> NatsBus::bucket(const std::string& name) {
  if (!connected()) return fail(Code::Io, "{}", state());
  if (auto it = buckets_.find(name); it != buckets_.end()) return it->second;
  natsStatus status = NATS_OK;
  if (!jetstream_) {
    jsOptions js;
    jsOptions_Init(&js);
    js.Wait = kRequestMs;
    status = natsConnection_JetStream(&jetstream_, connection_, &js);
    if (status != NATS_OK) return nats_error(status, "JetStream");
  }
  kvStore* store = nullptr;
  status = js_KeyValue(&store, jetstream_, name.c_str());
  if (status == NATS_NOT_FOUND) {
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = name.c_str();
    config.History = 1;
    config.Replicas = options_.replicas;
    config.StorageType = js_FileStorage;
    status = js_CreateKeyValue(&store, jetstream_, &config);
  }
  if (status != NATS_OK) return nats_error(status, "bucket " + name);
  buckets_[name] = store;
  return store;
}

Value to_value(kvEntry* entry) { return {std::string(static_cast<const char*>(kvEntry_Value(entry)), static_cast<size_t>(kvEntry_ValueLen(entry))), kvEntry_Revision(entry)}; }

Result<std::optional<Value>> NatsBus::get_now(const std::string& name, const std::string& key) {
  VERGE_ASSIGN(store, bucket(name));
  kvEntry* entry = nullptr;
  const natsStatus status = kvStore_Get(&entry, store, key.c_str());
  if (status == NATS_NOT_FOUND) return std::optional<Value>();
  if (status != NATS_OK) return nats_error(status, name + "/" + key);
  std::optional<Value> out = to_value(entry);
  kvEntry_Destroy(entry);
  return out;
}

Result<std::optional<uint64_t>> NatsBus::put_now(const std::string& name, const std::string& key, const std::string& data, uint64_t revision) {
  VERGE_ASSIGN(store, bucket(name));
  uint64_t made = 0;
  const natsStatus status = revision == 0 ? kvStore_Create(&made, store, key.c_str(), data.data(), static_cast<int>(data.size()))
                                          : kvStore_Update(&made, store, key.c_str(), data.data(), static_cast<int>(data.size()), revision);
  if (status == NATS_OK) return std::optional<uint64_t>(made);
  // The server answers a lost race with an error of its own; libnats gives all of these as NATS_ERR. What is there now tells.
  if (status != NATS_ERR) return nats_error(status, name + "/" + key);
  VERGE_ASSIGN(now, get_now(name, key));
  if ((now ? now->revision : 0) != revision) return std::optional<uint64_t>();
  return nats_error(status, name + "/" + key);
}

Result<std::vector<std::pair<std::string, Value>>> NatsBus::list_now(const std::string& name) {
  std::vector<std::pair<std::string, Value>> out;
  VERGE_ASSIGN(store, bucket(name));
  kvKeysList keys{};
  const natsStatus status = kvStore_Keys(&keys, store, nullptr);
  if (status == NATS_NOT_FOUND) return out;
  if (status != NATS_OK) return nats_error(status, name);
  std::vector<std::string> names(keys.Keys, keys.Keys + keys.Count);
  kvKeysList_Destroy(&keys);
  for (const std::string& key : names) {
    VERGE_ASSIGN(value, get_now(name, key));
    if (value) out.emplace_back(key, std::move(*value));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Bus>> connect_nats(asio::any_io_executor executor, NatsOptions options) {
  auto bus = std::make_unique<NatsBus>(std::move(executor), std::move(options));
  VERGE_TRY(bus->open());
  return std::unique_ptr<Bus>(std::move(bus));
}

}  // namespace verge::cluster
