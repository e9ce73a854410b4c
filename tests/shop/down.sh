#!/usr/bin/env bash
# Take the shop, its monitoring and its data out of the cluster.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

k delete namespace "$APP" "$MON" --ignore-not-found >/dev/null
if ours; then
  k delete "pv/$volume_name" storageclass/chaos-local --ignore-not-found >/dev/null
  rm -rf "${KUBECONFIG%/*}/volumes/$volume_name"
fi
say "the shop is gone"
