#!/usr/bin/env bash
# Fetches the client packages of the end-to-end tests: Python's into a venv, npm's, the oldest wrangler that is supported, and the recipes' packages.
# Quick where they are there. E2E_TOOLS (default build/e2e) is the folder.
set -euo pipefail
cd "$(dirname "$0")"
tools=${E2E_TOOLS:-../../build/e2e}
mkdir -p "$tools"; tools=$(realpath "$tools")

if ! cmp -s requirements.txt "$tools/requirements.txt"; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$tools/"
fi
npm_install() {  # FOLDER, which has a package.json
  if cmp -s "$1/package.json" "$tools/$1/installed.json"; then return; fi
  mkdir -p "$tools/$1"
  cp "$1/package.json" "$tools/$1/"
  (cd "$tools/$1" && npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error)
  cp "$1/package.json" "$tools/$1/installed.json"
}
npm_install node
npm_install wrangler-4.86
npm_install recipes
npm_install pool-workers-0.23
