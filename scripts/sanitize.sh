#!/usr/bin/env bash
# The unit tests under AddressSanitizer + UBSan and under ThreadSanitizer, then each fuzz target for
# FUZZ_SECONDS (default 15).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
need $BUILD_PACKAGES $FUZZ_PACKAGES
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

say "AddressSanitizer and UBSan"
build asan all
ctest --test-dir build/asan --output-on-failure --no-tests=error -LE slow
say "ThreadSanitizer"
build tsan all
ctest --test-dir build/tsan --output-on-failure --no-tests=error -L threads
say "Fuzz targets"
build fuzz fuzz_targets
for target in build/fuzz/*_fuzz; do
  name=$(basename "$target")
  mkdir -p "build/fuzz-corpus/$name"
  seeds=(); [ -d "fuzz/corpus/$name" ] && seeds=("fuzz/corpus/$name")
  "$target" -max_total_time="${FUZZ_SECONDS:-15}" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "build/fuzz-corpus/$name" "${seeds[@]}" >"build/fuzz-corpus/$name.log" 2>&1 ||
    { tail -n 40 "build/fuzz-corpus/$name.log" >&2; die "fuzz target $name failed"; }
  printf '    %s: %s executions\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz-corpus/$name.log")"
done
