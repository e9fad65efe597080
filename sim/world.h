// Machines, gateways and the network between them, from one seed. Each gateway holds the very object
// that decides in the product's router (router/journeys.h), each machine its ledger and placement;
// only the machines' engines, the wires and the clocks are simulated.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "accounts/quota.h"
#include "node/ledger.h"
#include "router/journeys.h"
#include "router/placement.h"
#include "sim/agenda.h"
#include "sim/cities.h"
#include "sim/config.h"
#include "sim/report.h"
#include "support/random.h"

namespace verge::sim {

struct ModelSpec {
  std::string name;
  int64_t memory;
  double tokens_per_s;   // of prompts, on a machine of speed 1
  double token_ms;       // between tokens of an answer
  double base_ms;        // of a first token
  double load_ms;
  int slots;
  double popularity;     // share of the requests
};

struct Job {
  int request = 0, attempt = 0, gateway = 0;
  double uncached = 0;   // prompt tokens to read
  int tokens = 0;        // to make
};

// One model at one machine.
struct Engine {
  enum class State { Cold, Waiting, Loading, Loaded };
  State state = State::Cold;
  bool on_disk = false;
  Micros load_ends = 0;
  std::deque<Job> queue;
  std::optional<Job> prefilling;
  Micros prefill_ends = 0;
  std::vector<std::pair<Micros, Job>> decoding;  // by end
  std::map<uint64_t, std::pair<int, uint64_t>> cache;  // session -> tokens, last use
  uint64_t uses = 0;
  int in_transit = 0;        // true number of requests that fly to it
  double transit_tokens = 0;
  int inside() const { return static_cast<int>(queue.size() + decoding.size()) + prefilling.has_value(); }
};

struct Machine {
  int index = 0;
  std::string name;
  int city = 0;
  double speed = 1, slow = 1;
  bool alive = true, liar = false, mute = false;  // mute: dead without a word (power), not with closed connections
  Micros frozen_until = 0;
  uint64_t boot = 1, beat = 0;
  int64_t memory = 0, used = 0;
  std::unique_ptr<node::Ledger> ledger;
  std::unique_ptr<router::Placement> placement;
  std::vector<Engine> engines;
};

struct Client {
  int gateway = 0, tenant = 0, model = 0;
  uint64_t session = 0, seed = 0;
  int prompt = 0, output = 0;
  Micros routed = 0;               // its allocation allowed it: the time to the first token counts from there
  router::Need need;
  uint64_t journey = 0;            // its number at the gateway
  int machine = -1, attempt = 0;   // attempt: its number; others are history
  bool in_transit = false, progress = false;
  Micros heard = 0;                // of this attempt
  Micros decode_began = 0;
  int decode_tokens = 0;           // of this attempt
  double transit_tokens = 0;
  int got = 0;                     // tokens, of all
  Micros first_token = -1;
  int ends = 0;
  bool refused = false;            // its tenant's allocation was used up, or held
  accounts::Reservation reservation;
  int64_t admitted_ms = 0, charged = 0;  // by the gateway's calendar; micro-neurons
  std::optional<Error> error;
};

// The record that gateways lease from (accounts/lease_store.h).
struct Lease {
  uint64_t revision = 0;
  int64_t leased = 0;
};

// One tenant with a daily allocation, at one gateway.
struct Allowance {
  accounts::Quota quota;
  bool leasing = false;
  std::vector<std::pair<int, int>> waiting;  // clients, and how often they have asked
  std::optional<Lease> seen;
  int64_t seen_day = -1;
  std::map<int64_t, int64_t> ledger;         // by day: micro-neurons
  std::set<int64_t> alone;                   // days in which it has spent without the record
};

struct Gateway {
  int index = 0, city = 0;
  Micros skew = 0;
  std::optional<router::Journeys> journeys;
  std::map<uint64_t, int> clients;  // by journey
  int arriving = -1;                // whose journey is not known yet
  Micros wake_at = 0;               // when the journeys are asked next; 0 = not at all
  uint64_t turn = 0;                // round robin
  Micros down_until = 0;           // it has died and is not back
  Random arrivals{0};              // its own: the same callers for each policy
  double peak_per_s = 0;
  std::vector<Micros> last_heard;  // true time, by machine: the bound on dead nodes is checked against it
  std::map<int, Allowance> allowances;  // by tenant
};

class World {
 public:
  explicit World(const Config& config);
  Report run();

 private:
  // world.cpp
  void build_models();
  void build_machines();
  void schedule_arrivals();
  void schedule_faults();
  void next_arrival(int gateway);
  void arrive(int gateway, int model, Random& random);
  void admitted(int client);
  void check_end();
  router::Instant clock(const Gateway& gateway) const { return (agenda_.now() + gateway.skew) / 1000; }
  void violate(const std::string& what);
  void mix(uint64_t value) { report_.hash = mix64(report_.hash ^ value); }

  // accounting.cpp
  void build_allocations();
  void admit(int client, int round);
  void settle(Client& client);
  void lease(int gateway, int tenant, int64_t wanted);
  void take_lease(int gateway, int tenant, int64_t wanted, int64_t day, int64_t owed, int tries);
  void leased(int gateway, int tenant);
  void ask_record(int gateway, int tenant, int64_t day, std::optional<Lease> change, std::function<void(std::optional<Lease>, bool changed)> answer);
  void check_books();
  int64_t unix_ms(const Gateway& gateway) const { return epoch_ms_ + clock(gateway); }

  // network.cpp
  double one_way(int from_city, int to_city);  // with jitter
  bool cut(int from_city, int to_city) const { return cuts_.count({from_city, to_city}) > 0; }
  bool isolated(const Machine& machine) const { return isolated_.count(machine.index) > 0; }
  void to_machine(int client, std::function<void()> what);
  void to_gateway(const Machine& machine, int gateway, int client, int attempt, Micros& heard, std::function<void()> what);
  void heartbeat(int machine);
  void probe(int gateway);
  protocol::Load load_of(const Machine& machine, int model) const;
  router::NodeState describe(Machine& machine);

  // machine.cpp
  void take(int machine, Job job);
  void refuse(int machine, const Job& job);
  void load(int machine, int model);
  void unload(int machine, int model);
  void pump(int machine, int model);
  void prefilled(int machine, int model, uint64_t boot);
  void finish(int machine, int model, uint64_t boot);
  void drop(int machine, int client, int attempt);  // the gateway hung up
  void crash(int machine, bool silently, Micros down);
  void place(int machine);
  void run_on(int machine, uint64_t boot, Micros after, std::function<void()> what);  // later, if it thaws and lives

  // gateway.cpp
  void begin(int client);
  void carry_out(Gateway& gateway, router::Actions& actions);
  void arm(Gateway& gateway);
  void attempt(int client, const router::Choice& choice, int number);
  void first_token(int client, const protocol::Load& load);
  void ended(int client);
  void lost(int client, Error error);
  void failed(int client, const Error& error);
  void forget(int gateway);
  void start_gateway(Gateway& gateway);
  void crash_gateway(int gateway, Micros down);
  void leave_machine(int client);

  // policy.cpp
  router::Choice pick(Gateway& gateway, const Client& client, const router::Need& need, const router::Tried& tried, router::Instant now, uint64_t seed);
  router::Choice oracle(const Gateway& gateway, const Client& client, const router::Tried& tried);
  double true_ms(const Gateway& gateway, const Machine& machine, const Client& client) const;
  bool room_exists(const Gateway& gateway, const Client& client) const;

  Config config_;
  Random random_;
  Agenda agenda_;
  Report report_;
  std::vector<ModelSpec> models_;
  std::vector<router::Wish> wishes_;
  std::vector<Machine> machines_;
  std::map<std::string, int> by_name_;
  std::vector<std::unique_ptr<Gateway>> gateways_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::set<std::pair<int, int>> cuts_;
  std::set<int> isolated_;
  Micros arrivals_end_ = 0;
  int open_ = 0;
  // Of allocations: their own chance, so that they change nothing of the rest.
  Random quota_random_{0};
  int64_t epoch_ms_ = 0, largest_ = 0;
  int record_city_ = 0;
  std::pair<Micros, Micros> record_away_{};
  std::map<int, int64_t> allocations_;  // by tenant: micro-neurons a day
  std::map<std::pair<int, int64_t>, Lease> records_;
};

}  // namespace verge::sim
