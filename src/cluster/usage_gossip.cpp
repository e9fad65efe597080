#include "cluster/usage_gossip.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>
#include <optional>

#include "cluster/usage_messages.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/random.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

// In ticks.
constexpr int64_t kMarksEvery = 5;
constexpr int64_t kSendAgainAfter = 3;  // a batch that brought no new mark: several round trips, and a commit on a busy disk
constexpr int64_t kAskAgainAfter = 1;
constexpr int64_t kLongAgo = -1'000'000;

constexpr int kRowsAtOnce = 200;            // read from the book on the io thread: about a millisecond
constexpr int kNewBatches = 50;             // told to all in one tick; more wait for the next
constexpr int64_t kRepairBytes = 1 << 20;   // sent again in one tick (UG3): a few thousand rows
constexpr int kMergesAtOnce = 64;           // batches of others that wait for the disk; each is at most a message
constexpr int64_t kComplaintMs = 60'000;

class BusGossip : public UsageGossip, public std::enable_shared_from_this<BusGossip> {
 public:
  BusGossip(asio::any_io_executor executor, Bus& bus, accounts::Ledger& ledger, UsageGossipOptions options)
      : executor_(std::move(executor)), bus_(bus), ledger_(ledger), options_(std::move(options)), timer_(executor_), jitter_(random_u64()) {
    if (!options_.metrics) return;
    merged_ = options_.metrics->counter("verge_cluster_usage_merged_rows_total", "Rows of the usage ledger that came from other gateways.");
    behind_ = options_.metrics->gauge("verge_cluster_usage_gateways_behind", "Gateways that have usage rows which are not in this one's ledger yet.");
  }

  Result<void> start() {
    VERGE_ASSIGN(marks, ledger_.marks());
    marks.erase(options_.name);
    for (const auto& [name, mark] : marks) peers_[name].mark = peers_[name].coming = mark;
    // What is older is sent to those who lack it, and not to all.
    VERGE_ASSIGN(last, ledger_.own_last());
    told_ = settled_ = last;
    for (const std::string& subject : {usage_subject("*"), usage_subject("*", options_.name)})
      bus_.subscribe(subject, [weak = weak_from_this()](const Message& message) {
        if (auto self = weak.lock()) self->received(message);
      });
    spawn(executor_, "telling usage", [self = shared_from_this()] { return self->ticks(); });
    return {};
  }

  void stop() override {
    if (stopped_) return;
    stopped_ = true;
    timer_.cancel();
    for (int i = 0; i < kNewBatches && bus_.connected() && tell_next(); ++i) {}
  }

 private:
  // Another gateway.
  struct Peer {
    UsageMark mark;                   // of its rows, here
    UsageMark coming;                 // ... when what waits for the disk is written
    UsageMark says;                   // of its rows, with itself
    int merges = 0;                   // batches that wait for the disk
    int64_t asked_at = kLongAgo;      // ticks
    UsageMark sent_after;             // the batch of our rows that it was sent last ...
    int64_t sent_at = kLongAgo;       // ... and when
    std::optional<UsageMark> wants;   // our rows after that, when there is room for it (UG3)
  };

  task<void> ticks();
  task<void> tick();
  bool tell_next();
  void tell_marks();
  void received(const Message& message);
  void heard_own_name(const Result<UsageMessage>& said);
  void heard_marks(const std::string& from, Peer& peer, const UsageHave& have);
  void heard_rows(const std::string& from, Peer& peer, UsageBatch batch, bool alone);
  void send_next(const std::string& to, Peer& peer, UsageMark after);
  void ask(const std::string& from, const Peer& peer) { bus_.publish(usage_subject(options_.name, from), encode_have({{from, peer.mark}})); }
  task<void> merge(std::string from, UsageBatch batch, bool alone);
  Peer* find(const std::string& name);
  void complain(const std::string& subject, const std::string& why);

  asio::any_io_executor executor_;
  Bus& bus_;
  accounts::Ledger& ledger_;
  UsageGossipOptions options_;
  asio::steady_timer timer_;
  const uint64_t jitter_;
  std::map<std::string, Peer> peers_;
  UsageMark told_;     // own rows up to here were told to all
  UsageMark settled_;  // ... and up to here so long ago that who lacks them has not heard it
  int64_t tick_ = 0;
  int64_t marks_told_at_ = kLongAgo;
  int64_t room_ = 0;   // bytes of repair left in this tick
  int merges_ = 0;
  bool connected_ = false, stopped_ = false, warned_ = false;
  int64_t complained_ms_ = -kComplaintMs;
  metrics::Counter merged_;
  metrics::Gauge behind_;
};

// ---- Speaking

task<void> BusGossip::ticks() {
  while (!stopped_) {
    // Gateways that start together do not speak together for ever.
    const double wait = options_.tick_ms * (0.8 + 0.4 * unit_at(jitter_, static_cast<uint64_t>(tick_)));
    timer_.expires_after(std::chrono::microseconds(static_cast<int64_t>(wait * 1000)));
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!stopped_) co_await tick();
  }
}

task<void> BusGossip::tick() {
  ++tick_;
  room_ = kRepairBytes;
  settled_ = told_;
  int behind = 0;
  for (const auto& [name, peer] : peers_) behind += peer.says > peer.mark;
  if (options_.metrics) behind_.set(behind);
  const bool back = bus_.connected() && !connected_;
  connected_ = bus_.connected();
  if (!connected_) co_return;
  for (int i = 0; i < kNewBatches && !stopped_ && tell_next(); ++i) co_await asio::post(executor_, asio::use_awaitable);
  if (stopped_) co_return;
  if (back || tick_ - marks_told_at_ >= kMarksEvery) tell_marks();
  for (auto& [name, peer] : peers_)
    if (peer.wants) send_next(name, peer, *peer.wants);
}

// False: nothing is left to tell.
bool BusGossip::tell_next() {
  auto rows = ledger_.own_rows_after(told_, kRowsAtOnce);
  if (!rows || rows->empty()) return false;
  const EncodedBatch batch = encode_batch(told_, told_, *rows);
  bus_.publish(usage_subject(options_.name), batch.text);
  told_ = batch.upto;
  return told_ < mark_of(rows->back()) || rows->size() == kRowsAtOnce;
}

void BusGossip::tell_marks() {
  std::map<std::string, UsageMark> marks;
  for (const auto& [name, peer] : peers_) marks[name] = peer.mark;
  auto own = ledger_.own_last();
  if (own) marks[options_.name] = *own;
  bus_.publish(usage_subject(options_.name), encode_have(marks));
  marks_told_at_ = tick_;
}

void BusGossip::send_next(const std::string& to, Peer& peer, UsageMark after) {
  peer.wants.reset();
  if (after >= settled_) return;
  // The answer to the last batch may still be on its way; an older mark may come late.
  if (after <= peer.sent_after && tick_ - peer.sent_at < kSendAgainAfter) return;
  if (room_ <= 0) {
    peer.wants = after;
    return;
  }
  auto rows = ledger_.own_rows_after(after, kRowsAtOnce);
  if (!rows) return;
  const EncodedBatch batch = encode_batch(after, settled_, *rows);
  bus_.publish(usage_subject(options_.name, to), batch.text);
  room_ -= static_cast<int64_t>(batch.text.size());
  peer.sent_after = after;
  peer.sent_at = tick_;
}

// ---- Listening

BusGossip::Peer* BusGossip::find(const std::string& name) {
  if (const auto it = peers_.find(name); it != peers_.end()) return &it->second;
  if (peers_.size() >= kUsageGateways - 1) return nullptr;
  return &peers_[name];
}

void BusGossip::complain(const std::string& subject, const std::string& why) {
  if (monotonic_ms() - complained_ms_ < kComplaintMs) return;
  complained_ms_ = monotonic_ms();
  log::warn("a message of the cluster was left out", {{"why", why}, {"subject", subject}});
}

void BusGossip::received(const Message& message) {
  if (stopped_) return;
  const auto subject = parse_usage_subject(message.subject);
  if (!subject) return;
  auto said = decode_usage(message.payload, subject->from);
  if (subject->from == options_.name) return heard_own_name(said);
  if (!said) return complain(message.subject, said.error().message);
  Peer* peer = find(subject->from);
  if (!peer) return complain(message.subject, fmt::format("more than {} gateways", kUsageGateways));
  if (auto* have = std::get_if<UsageHave>(&*said)) heard_marks(subject->from, *peer, *have);
  else heard_rows(subject->from, *peer, std::move(std::get<UsageBatch>(*said)), !subject->to.empty());
}

// The bus brings back what is said here. But nobody else can know of rows under this name that are not on this disk.
void BusGossip::heard_own_name(const Result<UsageMessage>& said) {
  const auto* have = said ? std::get_if<UsageHave>(&*said) : nullptr;
  const auto mark = have ? have->marks.find(options_.name) : std::map<std::string, UsageMark>::const_iterator();
  if (!have || mark == have->marks.end() || mark->second <= told_) return;
  auto last = ledger_.own_last();
  if (last && mark->second > *last) complain(usage_subject(options_.name), "another gateway speaks under this one's name: usage of one of the two will be missing");
}

void BusGossip::heard_marks(const std::string& from, Peer& peer, const UsageHave& have) {
  if (const auto its = have.marks.find(from); its != have.marks.end()) peer.says = its->second;
  const auto ours = have.marks.find(options_.name);
  const UsageMark mark = ours == have.marks.end() ? UsageMark() : ours->second;
  if (mark > told_ && !warned_) {
    auto last = ledger_.own_last();
    warned_ = last && mark > *last;
    if (warned_) log::warn("other gateways have usage of this one that its own ledger lacks: was its data folder replaced?", {{"gateway", from}});
  }
  send_next(from, peer, mark);
}

void BusGossip::heard_rows(const std::string& from, Peer& peer, UsageBatch batch, bool alone) {
  peer.says = std::max(peer.says, batch.upto);
  if (batch.upto <= peer.coming) return;
  if (batch.after > peer.coming) {
    // Rows before these got lost. The mark would be old while some are being written.
    if (peer.merges > 0 || tick_ - peer.asked_at < kAskAgainAfter) return;
    peer.asked_at = tick_;
    return ask(from, peer);
  }
  // What finds no room now is sent again.
  if (merges_ >= kMergesAtOnce) return;
  peer.coming = batch.upto;
  ++peer.merges;
  ++merges_;
  spawn(executor_, "merging usage", [self = shared_from_this(), from, batch = std::move(batch), alone]() mutable { return self->merge(from, std::move(batch), alone); });
}

task<void> BusGossip::merge(std::string from, UsageBatch batch, bool alone) {
  const auto self = shared_from_this();
  const size_t count = batch.rows.size();
  auto merging = ledger_.merge(from, batch.after, batch.upto, std::move(batch.rows));
  const bool merged = co_await std::move(merging);
  Peer& peer = peers_[from];
  --peer.merges;
  --merges_;
  // What waits behind a batch that was not written will not be either.
  if (!merged) peer.coming = peer.mark;
  if (!merged || stopped_) co_return;
  peer.mark = std::max(peer.mark, batch.upto);
  peer.coming = std::max(peer.coming, peer.mark);
  if (options_.metrics) merged_.add(static_cast<double>(count));
  if (alone) ask(from, peer);
}

}  // namespace

Result<std::shared_ptr<UsageGossip>> UsageGossip::make(asio::any_io_executor executor, Bus& bus, accounts::Ledger& ledger, UsageGossipOptions options) {
  auto gossip = std::make_shared<BusGossip>(std::move(executor), bus, ledger, std::move(options));
  VERGE_TRY(gossip->start());
  return std::shared_ptr<UsageGossip>(std::move(gossip));
}

}  // namespace verge::cluster
