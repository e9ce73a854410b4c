#!/usr/bin/env bash
# Prove everything: lints, unit, tool and pipeline tests, and end-to-end tests on a real cluster. Ends with the counts.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# tally NAME COMMAND…: one test, or as many as the command's own counts say.
tally() {
  local name=$1 status=0 counts
  shift
  say "$name"
  "$@" 2>&1 | tee "$log" || status=$?
  counts=$(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$log")
  read -r p f i <<<"$counts"
  if [ "$((p + f + i))" = 0 ]; then
    if [ $status = 0 ]; then p=1; else f=1; fi
  elif [ $status != 0 ] && [ "$f" = 0 ]; then
    f=1 # it did not compile, or was killed
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + i))
}

unset CONTEXT # these look into the node as well, so it is always the throw-away cluster
"$root/scripts/setup.sh"
tally "formatting" scripts/lint.sh format
tally "shell scripts" scripts/lint.sh shell
tally "clippy" scripts/lint.sh clippy
tally "licences and sources" scripts/lint.sh deny
tests/s3/build.sh
say "building the tools"
cargo build --workspace --bins
tally "unit, tool and pipeline tests" cargo test --workspace --no-fail-fast --exclude chaos-tests
tally "pipelines" cargo test -p chaos-tests --lib --test pipelines --no-fail-fast
if [ "$(id -u)" = 0 ]; then
  cluster
  export CHAOS_TEST_KUBECONFIG=$KUBECONFIG
  tally "end to end, on a real cluster" cargo test -p chaos-tests --test e2e --no-fail-fast -- --include-ignored --test-threads=1
else
  echo "SKIPPED: the end-to-end tests start a cluster of their own, which needs root" >&2
  tally "end to end" cargo test -p chaos-tests --test e2e
fi
echo
if [ $skipped -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ $failed = 0 ]
