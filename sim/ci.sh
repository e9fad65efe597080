#!/usr/bin/env bash
# The simulator in continuous integration: 2,000 small worlds (4 to 20 nodes, drawn from the seed), some of them twice to see
# that a seed is one exact run, and two full-size ones. Fails where an invariant breaks,
# or ours is further from the oracle than docs/simulation.md says.
#   sim/ci.sh [build folder] [seeds]
set -euo pipefail
cd "$(dirname "$0")/.."
sim=${1:-build/release}/verge-sim
seeds=${2:-2000}
"$sim" --small --seeds "$seeds" --threads "$(nproc)" --goals
"$sim" --small --seeds 20 --replay
"$sim" --seeds 2 --seconds 3 --threads "$(nproc)"
