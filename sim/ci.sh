#!/usr/bin/env bash
# The simulator in continuous integration: 2,000 small worlds (one of them twice as long as the other is no matter:
# sizes are drawn from the seed, 4 to 20 nodes), and two full-size ones. Fails where an invariant breaks.
#   sim/ci.sh [build folder] [seeds]
set -euo pipefail
cd "$(dirname "$0")/.."
sim=${1:-build/release}/verge-sim
seeds=${2:-2000}
"$sim" --small --seeds "$seeds" --threads "$(nproc)"
"$sim" --small --seeds 20 --replay
"$sim" --seeds 2 --seconds 3 --threads "$(nproc)"
