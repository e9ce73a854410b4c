#!/usr/bin/env bash
# Speed, memory and size against the runbook's own commands, in one run on the same cluster.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
unset CONTEXT # these look into the node as well, so it is always the throw-away cluster
"$root/scripts/setup.sh"
say "building the six tools"
cargo build --release --workspace --bins --quiet --manifest-path "$root/Cargo.toml"
# It needs no cluster, and one beside it takes more from two threads than from a peer's one.
"$root/tests/cluster/down.sh"
say "measuring chaos-backup-check, and the archive of chaos-report"
"$root/scripts/bench/backup.sh" "$CARGO_TARGET_DIR/release"
"$root/scripts/bench/archive.sh" "$CARGO_TARGET_DIR/release"
"$root/scripts/bench/reporting.sh" "$CARGO_TARGET_DIR/release"
say "chaos-notify beside apprise, on servers that misbehave"
"$root/scripts/bench/notify.sh" "$CARGO_TARGET_DIR/release"
say "starting the cluster and the shop"
cluster
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shop_config "$work"
export PATH=$CARGO_TARGET_DIR/release:$CHAOS_CACHE/bin:$PATH KUBECACHEDIR=$CHAOS_CACHE/kubectl
say "measuring"
CHAOS_CONFIG=$work/chaos.toml python3 "$root/scripts/bench.py" "$CARGO_TARGET_DIR/release" "${KUBECONFIG%/*}/pki"
python3 "$root/scripts/bench/audited.py" "$CARGO_TARGET_DIR/release/chaos-inject" "${KUBECONFIG%/*}/logs/audit.log"
"$root/scripts/bench/scale.sh" "$CARGO_TARGET_DIR/release"
"$root/scripts/bench/fingerprint.sh" "$CARGO_TARGET_DIR/release"
"$root/scripts/bench/load.sh" "$CARGO_TARGET_DIR/release"
