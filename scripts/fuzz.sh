#!/usr/bin/env bash
# Fuzz every parser of chaos-backup-check: MINUTES (60) over all TARGETS. A panic, a hang of ten seconds, or memory
# beyond the limit ends it with the input that did it. New inputs go to the cache; with KEEP=1 those that
# reach something new go to the corpus in tests/fuzz/corpus, the smallest of each kind. Needs a nightly compiler.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root/tests/fuzz"
read -ra targets <<<"${TARGETS:-dump script folder tar unpack objects sidecar}"
seconds=$((${MINUTES:-60} * 60 / ${#targets[@]}))
rustup toolchain list | grep -q nightly || rustup toolchain install nightly --profile minimal
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The versions that are fuzzed are the versions that are released.
cp "$root/Cargo.lock" Cargo.lock
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz
work=$CHAOS_CACHE/fuzz
mkdir -p "$work"
say "building the targets"
cargo +nightly fuzz build --fuzz-dir . >"$work/build.log" 2>&1 || { tail -30 "$work/build.log" >&2; die "the targets do not build"; }
printf '%-8s %8s %12s %7s %8s %8s %9s  %s\n' target seconds runs new cover inputs 'peak MB' end
failed=0
for target in "${targets[@]}"; do
  inputs=$work/corpus/$target log=$work/$target.log end=clean
  mkdir -p "$inputs" "$work/found/$target" "corpus/$target"
  # zstd may ask for a window of 128 MiB, as the program of that name allows; AddressSanitizer takes its share on top.
  "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/$target" -max_total_time=$seconds -timeout=10 -rss_limit_mb=1024 \
    -malloc_limit_mb=160 -max_len=40000 -print_final_stats=1 -artifact_prefix="$work/found/$target/" \
    "$inputs" "corpus/$target" >"$log" 2>&1 || { end="FAILED, see $log and $work/found/$target" failed=1; }
  stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
  cover=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6-)
  printf '%-8s %8s %12s %7s %8s %8s %9s  %s\n' "$target" "$seconds" "$(stat number_of_executed_units)" "$(stat new_units_added)" \
    "$cover" "$(find "$inputs" "corpus/$target" -type f | wc -l)" "$(stat peak_rss_mb)" "$end"
  if [ -n "${KEEP:-}" ] && [ $failed = 0 ]; then
    rm -rf "$work/merged" && mkdir "$work/merged"
    "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/$target" -merge=1 -max_len=40000 "$work/merged" "corpus/$target" "$inputs" >>"$log" 2>&1
    rm -rf "corpus/$target" && mv "$work/merged" "corpus/$target"
  fi
done
exit $failed
