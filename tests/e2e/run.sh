#!/usr/bin/env bash
# End-to-end tests: a real server, real worker processes, the real client packages.
# usage: run.sh VERGE_BINARY [pytest arguments]
set -euo pipefail
VERGE_BINARY=$(realpath "$1"); export VERGE_BINARY; shift
cd "$(dirname "$0")"
./install.sh
tools=$(realpath "${E2E_TOOLS:-../../build/e2e}")
export NODE_PATH=$tools/node/node_modules E2E_NODE_MODULES=$tools/node/node_modules E2E_OLD_WRANGLER=$tools/wrangler-4.86 E2E_RECIPES=$tools/recipes E2E_RESPONSES=$tools/responses E2E_POOL_WORKERS=$tools/pool-workers-0.23
# By the interpreter: the scripts of a venv name the folder that it was made in, which may have been moved.
exec "$tools/venv/bin/python" -m pytest -q -p no:cacheprovider "$@" .
