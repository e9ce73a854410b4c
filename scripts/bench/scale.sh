#!/usr/bin/env bash
# chaos-health at 100, 1,000 and 10,000 pods of a real API server, beside curl, kubectl and Chaos Toolkit.
# usage: scale.sh FOLDER-OF-TOOLS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tools=$(realpath "$1")
venv=$CHAOS_CACHE/chaostoolkit
if [ ! -x "$venv/bin/chaos" ]; then
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet chaostoolkit chaostoolkit-kubernetes; }; then
    rm -rf "$venv"
    echo "SKIPPED: Chaos Toolkit could not be installed" >&2
  fi
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$root/scripts/bench/apiserver.sh" "$folder" 16443 python3 "$root/scripts/bench/scale.py" "$folder" 16443 "$tools" "$venv"
