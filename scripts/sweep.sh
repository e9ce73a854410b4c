#!/usr/bin/env bash
# Kill chaos-inject, its guardian, or both at each of their API calls in all its experiments, and count what is left behind.
#   KILLS, MINUTES  it ends when either is reached (600 and 25)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
unset CONTEXT # faults at will, so it is always the throw-away cluster
"$root/scripts/setup.sh"
say "building chaos-inject and the sweep"
cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p chaos-inject -p chaos-tests --bins --example sweep
say "starting the cluster"
cluster
say "killing"
CHAOS_TEST_KUBECONFIG=$KUBECONFIG "$CARGO_TARGET_DIR/release/examples/sweep" "${KILLS:-600}" "${MINUTES:-25}"
