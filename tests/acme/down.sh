#!/usr/bin/env bash
# Take acme, its monitoring and its data out of the cluster.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../shop/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../shop/lib.sh"

k delete namespace acme observability --ignore-not-found >/dev/null
k delete customresourcedefinition fleets.acme.example.com --ignore-not-found >/dev/null
if ours; then
  k delete pv/acme-database --ignore-not-found >/dev/null
  rm -rf "${KUBECONFIG%/*}/volumes/acme-database"
fi
say "acme is gone"
