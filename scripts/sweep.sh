#!/usr/bin/env bash
# Kill chaos-inject, its guardian, or both at each of their API calls in all its experiments, and count what is left behind.
# usage: sweep.sh [disturb | watched]
#   disturb: nobody is killed, but watches are cut, the API server is away and pods go
#   watched: a watcher undoes what tool and guardian, killed together, leave; and leaves runs in trouble alone
#   KILLS, MINUTES  it ends when either is reached (600 and 25); for disturb TIMES, of each experiment, and MINUTES (100 and
#   120); for watched TIMES, of all, both killed and in trouble, and MINUTES (200 and 90)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case ${1:-sweep} in
  sweep) program=sweep numbers=("${KILLS:-600}" "${MINUTES:-25}") ;;
  disturb) program=disturb numbers=("${TIMES:-100}" "${MINUTES:-120}") ;;
  watched) program=watched numbers=("${TIMES:-200}" "${MINUTES:-90}") ;;
  *) die "usage: sweep.sh [disturb | watched]" ;;
esac
unset CONTEXT # faults at will, so it is always the throw-away cluster
"$root/scripts/setup.sh"
say "building chaos-inject and the $program"
cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p chaos-inject -p chaos-tests --bins --example "$program"
say "starting the cluster"
cluster
say "running"
cd "$root/tests"
CHAOS_TEST_KUBECONFIG=$KUBECONFIG "$CARGO_TARGET_DIR/release/examples/$program" "${numbers[@]}"
