#!/usr/bin/env bash
# Tests of what reads foreign bytes under AddressSanitizer + UBSan, those of the io threads under ThreadSanitizer.
# SANITIZE_ALL=1 takes every test under both (an hour on two cores), then each fuzz target for FUZZ_SECONDS (default 15).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
need $BUILD_PACKAGES
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0

asan="test_support test_http test_protocol test_router test_engine_formats"
tsan="test_http test_protocol test_router"
fuzz="gguf_fuzz whisper_fuzz audio_fuzz form_fuzz image_fuzz torch_checkpoint_fuzz safetensors_fuzz tokenizer_fuzz template_fuzz request_fuzz frame_fuzz http_fuzz zip_fuzz cluster_fuzz tools_fuzz grammar_fuzz"
if [ "${SANITIZE_ALL:-0}" = 1 ]; then
  asan=all tsan=all
fi

run_tests() {  # PRESET TARGETS
  build "$1" $2
  if [ "$2" = all ]; then ctest --test-dir "build/$1" --output-on-failure --no-tests=error; return; fi
  for target in $2; do "build/$1/$target" --gtest_brief=1; done
}
say "AddressSanitizer and UBSan"
run_tests asan "$asan"
say "ThreadSanitizer"
run_tests tsan "$tsan"
[ "${SANITIZE_ALL:-0}" = 1 ] || exit 0
need $FUZZ_PACKAGES
say "Fuzz targets"
build fuzz $fuzz
for name in $fuzz; do
  mkdir -p "build/fuzz-corpus/$name"
  seeds=(); [ -d "fuzz/corpus/$name" ] && seeds=("fuzz/corpus/$name")
  "build/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-15}" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 "build/fuzz-corpus/$name" "${seeds[@]}" >"build/fuzz-corpus/$name.log" 2>&1 ||
    { tail -n 40 "build/fuzz-corpus/$name.log" >&2; die "fuzz target $name failed"; }
  printf '    %s: %s executions\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz-corpus/$name.log")"
done
