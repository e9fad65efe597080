// verge-sim: runs worlds from seeds, compares policies. docs/simulation.md explains the figures.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "sim/world.h"

using namespace verge::sim;

namespace {

struct Options {
  uint64_t seeds = 1, from = 1;
  std::string policy = "ours";
  bool small = false, json = false, replay = false, goals = false;
  int nodes = 0, regions = 0, threads = 1;
  double seconds = 0, load = 0;
  bool calm = false;
};

Config config_of(const Options& options, uint64_t seed, Policy policy) {
  Config config = options.small ? small_world(seed) : full_size(seed);
  config.policy = policy;
  if (options.nodes) config.nodes = options.nodes;
  if (options.regions) config.regions = std::min<int>(options.regions, kCityCount);
  if (options.seconds > 0) config.seconds = options.seconds;
  if (options.load > 0) config.load = options.load;
  if (options.calm) config.crashes = config.freezes = config.slowdowns = config.cuts = config.gateway_crashes = 0;
  return config;
}

Report run_all(const Options& options, Policy policy) {
  std::vector<Report> reports(options.seeds);
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> threads;
  std::mutex mutex;
  Report total;
  uint64_t added = 0;
  const auto work = [&] {
    for (uint64_t i; (i = next++) < options.seeds;) {
      Report report = World(config_of(options, options.from + i, policy)).run();
      if (options.replay) {
        const Report again = World(config_of(options, options.from + i, policy)).run();
        if (again.hash != report.hash) report.violations.push_back(fmt::format("seed {}: two runs differ", options.from + i));
      }
      // Added in the order of seeds, whatever thread was first.
      const std::lock_guard lock(mutex);
      reports[i] = std::move(report);
      reports[i].events = std::max<uint64_t>(1, reports[i].events);
      for (; added < options.seeds && reports[added].events; ++added) {
        total.add(reports[added]);
        reports[added] = Report{};
      }
    }
  };
  for (int t = 0; t < options.threads; ++t) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return total;
}

void print(const Options& options, Policy policy, const Report& r, double wall_s) {
  if (options.json) {
    std::string served;
    for (int64_t n : r.served_from) served += (served.empty() ? "" : ",") + std::to_string(n);
    fmt::print("{{\"policy\":\"{}\",\"seeds\":{},\"from\":{},\"requests\":{},\"errors\":{},\"avoidable\":{},\"refused\":{},\"overshoot\":{:.2f},\"mean_ms\":{:.1f},\"p50_ms\":{:.1f},\"p90_ms\":{:.1f},\"p99_ms\":{:.1f},\"cold_loads\":{},\"retries\":{},\"waited\":{},"
               "\"faults\":{},\"broken\":{},\"megabytes_far\":{:.1f},\"cached\":{:.3f},\"simulated_s\":{:.0f},\"events\":{},\"violations\":{},\"hash\":\"{:016x}\",\"wall_s\":{:.2f},\"served_from\":[{}]}}\n",
               name_of(policy), options.seeds, options.from, r.requests, r.errors, r.avoidable, r.refused, r.overshoot, r.mean(), r.quantile(0.5), r.quantile(0.9), r.quantile(0.99), r.cold_loads, r.retries, r.waited, r.faults, r.broken, r.bytes_far / 1e6,
               r.cached_tokens / std::max(1.0, r.prompt_tokens), r.simulated_s, r.events, r.violations.size(), r.hash, wall_s, served);
    return;
  }
  fmt::print("{:<13} {:>8} requests  ttft mean {:7.1f}  p50 {:7.1f}  p90 {:7.1f}  p99 {:8.1f} ms  errors {} ({} avoidable)  over quota {} (overshoot {:.2f} of the bound)  loads {}  retries {}  waited {}  far {:.1f} MB  cached {:.1f} %  faults {} (broke {})  {:016x}  {:.1f} s\n", name_of(policy),
             r.requests, r.mean(), r.quantile(0.5), r.quantile(0.9), r.quantile(0.99), r.errors, r.avoidable, r.refused, r.overshoot, r.cold_loads, r.retries, r.waited, r.bytes_far / 1e6, 100 * r.cached_tokens / std::max(1.0, r.prompt_tokens), r.faults, r.broken, r.hash, wall_s);
}

// What ours has to hold beside the oracle on the same worlds. False: it does not.
bool goals_held(const Report& ours, const Report& oracle) {
  constexpr double kMean = 1.15, kP99 = 1.3;
  const double mean = ours.mean() / oracle.mean(), p99 = ours.quantile(0.99) / oracle.quantile(0.99);
  const bool held = mean <= kMean && p99 <= kP99 && ours.avoidable == 0;
  fmt::print("ours / oracle: mean {:.3f} (goal {}), p99 {:.3f} (goal {}), avoidable errors {} (goal 0): {}\n", mean, kMean, p99, kP99, ours.avoidable, held ? "held" : "NOT held");
  return held;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Simulated edge networks: the router's code on a network, machines and clocks that follow from a seed.");
  app.add_option("--seeds", options.seeds, "How many worlds")->capture_default_str();
  app.add_option("--from", options.from, "The first seed")->capture_default_str();
  app.add_option("--policy", options.policy, "ours, oracle, nearest, least-loaded, round-robin or all")->capture_default_str();
  app.add_option("--nodes", options.nodes, "Machines of a world");
  app.add_option("--regions", options.regions, "Regions of a world, at most 20");
  app.add_option("--seconds", options.seconds, "Simulated seconds of arrivals");
  app.add_option("--load", options.load, "Of what all machines together could do, 0 to 1");
  app.add_option("--threads", options.threads, "Worlds at once")->capture_default_str();
  app.add_flag("--small", options.small, "Small worlds: size, load and faults are drawn from the seed");
  app.add_flag("--calm", options.calm, "No faults");
  app.add_flag("--replay", options.replay, "Run each world twice and compare");
  app.add_flag("--json", options.json, "One object a policy");
  app.add_flag("--goals", options.goals, "Run ours and the oracle, and fail where ours is further from it than the goals");
  CLI11_PARSE(app, argc, argv);
  bool broken = false, found = false;
  Report ours, oracle;
  for (const Policy policy : kPolicies) {
    const bool wanted = options.goals ? policy == Policy::Ours || policy == Policy::Oracle : options.policy == "all" || options.policy == name_of(policy);
    if (!wanted) continue;
    found = true;
    const auto began = std::chrono::steady_clock::now();
    Report report = run_all(options, policy);
    print(options, policy, report, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    for (const std::string& violation : report.violations) fmt::print(stderr, "VIOLATED ({}): {}\n", name_of(policy), violation);
    if (!options.json)
      for (const std::string& why : report.whys) fmt::print(stderr, "  error: {}\n", why);
    broken = broken || !report.violations.empty();
    if (policy == Policy::Ours) ours = std::move(report);
    else if (policy == Policy::Oracle) oracle = std::move(report);
  }
  if (options.goals && !goals_held(ours, oracle)) broken = true;
  if (!found) {
    fmt::print(stderr, "no policy is called {}\n", options.policy);
    return 2;
  }
  return broken ? 1 : 0;
}
