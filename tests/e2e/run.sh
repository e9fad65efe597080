#!/usr/bin/env bash
# End-to-end tests: a real server, real worker processes, the real client packages.
# usage: run.sh VERGE_BINARY [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")"
VERGE_BINARY=$(realpath "$OLDPWD/$1" 2>/dev/null || realpath "$1"); export VERGE_BINARY; shift
tools=${E2E_TOOLS:-../../build/e2e}
mkdir -p "$tools"; tools=$(realpath "$tools")

if [ ! -x "$tools/venv/bin/pytest" ]; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
fi
if ! cmp -s node/package.json "$tools/node/package.json"; then
  mkdir -p "$tools/node"
  cp node/package.json "$tools/node/"
  (cd "$tools/node" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
fi
export NODE_PATH=$tools/node/node_modules E2E_NODE_MODULES=$tools/node/node_modules
exec "$tools/venv/bin/pytest" -q -p no:cacheprovider "$@" .
