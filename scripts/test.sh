#!/usr/bin/env bash
# Prove everything: lints, unit, tool and pipeline tests, and end-to-end tests on a real cluster. Ends with the counts.
# usage: test.sh [quick]   quick: formatting, clippy, and the tests that need neither root nor a cluster
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
mode=${1:-all}
case $mode in all | quick) ;; *) die "usage: test.sh [quick]" ;; esac
passed=0 failed=0 skipped=0
work=$(mktemp -d)
# shellcheck disable=SC2046 # numbers
trap 'end_trees $(jobs -p); rm -rf "$work"' EXIT

# count STATUS LOG: adds one test, or as many as the log's own counts say. A test that finds what it needs missing says so
# and passes: it was skipped.
count() {
  local counts p f i s
  counts=$(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$2")
  read -r p f i <<<"$counts"
  if [ "$((p + f + i))" = 0 ]; then
    if [ "$1" = 0 ]; then p=1; else f=1; fi
  elif [ "$1" != 0 ] && [ "$f" = 0 ]; then
    f=1 # it did not compile, or was killed
  fi
  s=$(grep -c 'SKIPPED: ' "$2") || true
  p=$((p - s)) i=$((i + s))
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + i))
}
# tally NAME COMMAND…: runs it, shows what it says, and counts.
tally() {
  local name=$1 status=0
  shift
  say "$name"
  "$@" 2>&1 | tee "$work/log" || status=$?
  count $status "$work/log"
}
skip() {
  echo "SKIPPED: $*" >&2
  skipped=$((skipped + 1))
}

# programs: PACKAGE'S-FOLDER TARGET PROGRAM of every test program that was built, those that take longest first, so that
# none of them is waited for alone in the end.
programs() {
  jq -rs '["notify", "pipelines", "practice", "report", "chaos_verify"] as $longest
    | map(select(.reason == "compiler-artifact" and .profile.test and .executable != null))
    | sort_by(.target.name as $name | $longest | index($name) // length) | .[]
    | [(.manifest_path | rtrimstr("/Cargo.toml")), .target.name, .executable] | @tsv' "$work/built.json"
}
# run FOLDER PROGRAM [OPTION]…: as cargo would run it.
run() {
  local folder=$1
  shift
  (cd "$folder" && CARGO_MANIFEST_DIR=$folder "$@")
}
# one FOLDER TARGET PROGRAM [OPTION]…: runs it, and shows in one piece what it said.
one() {
  local name="${1#"$root/"} $2" folder=$1 log
  log=$(mktemp -p "$work")
  shift 2
  run "$folder" "$@" </dev/null >"$log" 2>&1 || touch "$work/unit-failed"
  { flock 9; echo "-- $name"; cat "$log"; } 9>"$work/shown"
}
# All test programs but the end-to-end tests, several at once: many of them wait more than they compute. The ignored ones
# want a browser.
unit() {
  local folder target program all=()
  [ $with_browser = no ] || all=(--include-ignored)
  while IFS=$'\t' read -r folder target program; do
    [ "$target" != e2e ] || continue
    while (($(jobs -rp | wc -l) >= at_once)); do wait -n || true; done
    one "$folder" "$target" "$program" --quiet "${all[@]}" &
  done < <(programs)
  wait
  [ ! -e "$work/unit-failed" ]
}
# The end-to-end tests, which wait for each other as they must. That many of them wait is no news.
end_to_end() {
  local folder target program
  while IFS=$'\t' read -r folder target program; do
    [ "$target" != e2e ] || run "$folder" "$program" --include-ignored --test-threads=256 --quiet </dev/null
  done < <(programs) 2>&1 | sed -u -e '/has been running for over/d' -e 's/^\.\+//'
}

# The cluster comes up while the processors are at something else, and is used once everything is built. One at a time:
# two of these would break each other's shops.
on_a_cluster() {
  exec 7>"$CHAOS_CACHE/test.lock"
  flock --nonblock 7 || { echo "waiting for other tests to leave the cluster"; flock 7; }
  tests/compile.sh s3 versitygw github.com/versity/versitygw/cmd/versitygw 7>&-
  cluster 7>&-
  until [ -e "$work/built" ]; do sleep 0.2; done
  CHAOS_TEST_KUBECONFIG=$KUBECONFIG
  export CHAOS_TEST_KUBECONFIG
  end_to_end 7>&-
}

unset CONTEXT # these look into the node as well, so it is always the throw-away cluster
with_cluster=no with_browser=no at_once=3
[ "$mode" = all ] || at_once=6 # nothing runs beside these
if [ "$mode" = all ]; then
  if "$root/scripts/setup.sh" --look; then
    with_browser=yes
  else
    echo "SKIPPED: what looks at reports in a browser, which can't be installed here" >&2
    "$root/scripts/setup.sh"
  fi
  if [ "$(id -u)" = 0 ]; then with_cluster=yes; fi
fi
if [ $with_cluster = yes ]; then
  mkdir -p "$CHAOS_CACHE"
  (on_a_cluster) >"$work/e2e.log" 2>&1 &
  e2e=$!
fi
tally "formatting" scripts/lint.sh format
if [ "$mode" = all ]; then
  tally "shell scripts" scripts/lint.sh shell
  tally "licences and sources" scripts/lint.sh deny
fi
say "building the tools and their tests"
if cargo build --workspace --all-targets --message-format=json-render-diagnostics >"$work/built.json"; then
  touch "$work/built"
  tally "clippy" scripts/lint.sh clippy
  tally "unit, tool and pipeline tests" unit
  tally "examples in the documentation" cargo test --workspace --doc --quiet
  if [ $with_cluster = yes ]; then
    say "end to end, on a real cluster, beside all of these"
    tail -n +1 -f --pid="$e2e" "$work/e2e.log"
    status=0
    wait "$e2e" || status=$?
    count $status "$work/e2e.log"
  elif [ "$mode" = all ]; then
    skip "the end-to-end tests: they start a cluster of their own, which needs root"
  fi
else
  failed=$((failed + 1))
fi
echo
if [ $skipped -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ $failed = 0 ]
