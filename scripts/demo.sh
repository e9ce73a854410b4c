#!/usr/bin/env bash
# The main job, on a real cluster: break a pod of the sample shop on purpose and report what came of it.
# usage: demo.sh [up|down]   (CONTEXT names a cluster of the user's own instead of the throw-away one)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-up}" = down ]; then
  "$root/tests/shop/receivers.sh" stop "$demo"
  if [ -n "${CONTEXT:-}" ]; then "$root/tests/shop/down.sh"; else "$root/tests/cluster/down.sh"; fi
  rm -rf "$demo"
  echo "gone; what was compiled stays in $CHAOS_CACHE"
  exit 0
fi

"$root/scripts/setup.sh" --compilers
mkdir -p "$demo"
test_bed() {
  [ -n "${CONTEXT:-}" ] || "$root/tests/cluster/build.sh" &
  "$root/scripts/setup.sh"
  wait $!
  say "starting the cluster and the shop"
  cluster
  echo "$KUBECONFIG" >"$demo/cluster"
}
say "building the six tools, as make test does, and the test bed"
# Side by side, as downloads, the linker and the last crates of each leave processors idle. The cluster comes first: it starts
# while the tools are compiled.
test_bed &
nice cargo build --workspace --bins --manifest-path "$root/Cargo.toml" &
# shellcheck disable=SC2046 # numbers
trap 'end_trees $(jobs -p)' EXIT
wait -n
wait -n
trap - EXIT
KUBECONFIG=$(<"$demo/cluster") PATH=$CARGO_TARGET_DIR/debug:$PATH
export KUBECONFIG

say "backups, and receivers for mail and webhooks"
"$root/tests/shop/receivers.sh" start "$demo"
"$root/tests/shop/backup.sh" "$demo/backup"
shop_config "$demo"
shop_secrets
export CHAOS_CONFIG=$demo/chaos.toml XDG_STATE_HOME=$demo/state
chaos-backup-check drill </dev/null >"$demo/drill.ndjson" || die "the backups do not restore, see $demo/drill.ndjson"

say "scripts/experiment.sh pod-failure"
status=0
"$root/scripts/experiment.sh" pod-failure >"$demo/stream.ndjson" || status=$?

report=$(jq -r 'select(.schema == "chaos.report/1") | .data.location' "$demo/stream.ndjson" | tail -n 1)
say "verdict: exit status $status"
jq -r 'select(.verdict) | "\(.tool | split(" ")[0])\t\(.verdict)\t\(.summary)"' "$demo/stream.ndjson" | column -t -s "$(printf '\t')" >&2
echo
echo "report:   $report"
echo "stream:   $demo/stream.ndjson"
echo "mail:     $demo/maildir/new"
echo "webhooks: $demo/webhooks.ndjson"
echo "again:    make demo; then make demo-down leaves nothing behind but what was compiled"
exit "$status"
