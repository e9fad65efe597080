#!/usr/bin/env bash
# Makes every package of a built program and tries each where nothing is installed: the packages' own files and the C library in
# an empty root. Seconds, once FFmpeg's decoders are in the cache.
# usage: run.sh VERGE_BINARY [pytest arguments]
set -euo pipefail
VERGE_BINARY=$(realpath "$1"); export VERGE_BINARY; shift
cd "$(dirname "$0")"
# A source that cannot be reached is no failure, as with models.
../../scripts/package all || {
  status=$?
  [ "$status" = 69 ] || exit "$status"
  echo "    packages could not be made without FFmpeg's source: their tests skip"
  exit 0
}
tools=$(realpath -m "${E2E_TOOLS:-../../build/e2e}")
python=$tools/venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m pytest -q -p no:cacheprovider "$@" .
