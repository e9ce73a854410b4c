#!/usr/bin/env bash
# End the throw-away cluster: its processes, interface, cgroups and state. What was built stays in the cache.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" = 0 ] || die "the cluster needs root; try: sudo -E $0"
lock
remove
rm -f "$STATE.lock"
say "the cluster is down"
