#!/usr/bin/env bash
# chaos-health at 100, 1,000 and 10,000 pods of a real API server, beside curl, kubectl and Chaos Toolkit; and the memory of
# chaos-inject at 5,000.
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
# shellcheck disable=SC2016 # for the inner shell
"$root/scripts/bench/apiserver.sh" "$folder" 16443 bash -ec 'python3 "$1/scale.py" "$2" 16443 "$3" "$4"; python3 "$1/watching.py" "$2" 16443 "$3"' \
  bash "$root/scripts/bench" "$folder" "$tools" "$venv"
