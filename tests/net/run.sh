#!/usr/bin/env bash
# Tests of clusters: network namespaces joined by tests/net/wire where root may make them, loopback addresses always.
# usage: run.sh VERGE_BINARY [pytest arguments]
set -euo pipefail
VERGE_BINARY=$(realpath "$1"); export VERGE_BINARY; shift
cd "$(dirname "$0")"
exec python3 -m pytest -q -rs -p no:cacheprovider "$@"
