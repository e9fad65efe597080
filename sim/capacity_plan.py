#!/usr/bin/env python3
"""What many cities and requests a second take, from the costs of one request. Change the table, run again.

  sim/capacity_plan.py            the table of docs/simulation.md
"""

# Name, value, unit, where it comes from.
COSTS = {
    "gateway_cpu_ms": (0.94, "ms CPU a request, gateway and node together, with TLS and the usage ledger", "bench/gateway.py, Zen 3, 2-core machine"),
    "choose_us": (40.0, "us CPU a choice among 200 nodes", "verge-sim under perf, 2-core machine"),
    "heartbeat_bytes": (1500, "bytes, 10 models", "size of the JSON of such a NodeState"),
    "heartbeat_us": (6.0, "us CPU to take one in", "verge-sim under perf"),
    "tokens_prompt": (650, "mean prompt, tokens", "assumed, as in the simulator"),
    "tokens_answer": (90, "mean answer, tokens", "assumed, as in the simulator"),
    "bytes_prompt_token": (5, "bytes", "as in the simulator"),
    "bytes_answer_token": (60, "bytes of the internal stream", "as in the simulator"),
    "replica_per_s": (12.0, "requests a second of one 8B copy on one accelerator", "8,000 prompt tokens a second, as in the simulator"),
}
CITIES = 330
REQUESTS = 1_000_000
NEAR = 20            # cities whose nodes a gateway hears each second
NODES_PER_CITY = 256


def main():
    c = {name: value for name, (value, _, _) in COSTS.items()}
    for name, (value, unit, source) in COSTS.items():
        print(f"| {name} | {value:g} | {unit} | {source} |")
    cores = REQUESTS * (c["gateway_cpu_ms"] / 1e3 + c["choose_us"] / 1e6)
    replicas = REQUESTS / c["replica_per_s"]
    heard = NEAR * NODES_PER_CITY
    print()
    print(f"| requests a second | {REQUESTS:,} over {CITIES} cities: {REQUESTS / CITIES:,.0f} a city |")
    print(f"| cores for gateways and nodes, at half load | {2 * cores:,.0f}: {2 * cores / CITIES:.0f} a city |")
    print(f"| accelerators, all requests to 8B models, at 60 % | {replicas / 0.6:,.0f}: {replicas / 0.6 / CITIES:.0f} a city |")
    print(f"| heartbeats that a gateway hears (its {NEAR} nearest cities) | {heard:,} a second: {heard * c['heartbeat_bytes'] * 8 / 1e6:.0f} Mbit/s, {heard * c['heartbeat_us'] / 1e4:.1f} % of a core |")
    print(f"| the same if it heard all cities | {CITIES * NODES_PER_CITY:,} a second: {CITIES * NODES_PER_CITY * c['heartbeat_bytes'] * 8 / 1e6:,.0f} Mbit/s: why it must not |")
    per_request = c["tokens_prompt"] * c["bytes_prompt_token"] + c["tokens_answer"] * c["bytes_answer_token"]
    print(f"| between cities, if a fifth is answered elsewhere | {0.2 * REQUESTS * per_request * 8 / 1e9:.1f} Gbit/s in all |")


main()
