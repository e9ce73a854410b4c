#!/usr/bin/env bash
# chaos-notify and apprise against the same misbehaving servers: what each says, and what is true at the receiver.
# usage: notify.sh FOLDER-OF-TOOLS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tools=$(realpath "$1")
venv=$CHAOS_CACHE/apprise
if [ ! -x "$venv/bin/apprise" ]; then
  say "fetching apprise"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet apprise
fi
python3 "$root/scripts/bench/notify.py" "$tools/chaos-notify" "$venv/bin/apprise"
