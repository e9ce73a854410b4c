#!/usr/bin/env bash
# Stop every experiment, wherever it runs; roll back its fault; look at the system; tell the team.
#
# usage: abort.sh [--dry-run] [REASON…]   (chaos.toml as for every tool)
#
# The status is 0 once nothing is left, the system is healthy and everybody is told; 5 if a fault may still be in place.
#   --dry-run   print the pipeline, then show what is running and what would be told; stop and tell nothing
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no words=()
for word; do
  case $word in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    -*) echo "abort.sh: no such option: $word" >&2; exit 2 ;;
    *) words+=("$word") ;;
  esac
done
# An emergency does not wait for words.
set -- "${words[*]:-no reason was given}"

pipeline() {
  chaos-inject abort --reason "$1" | chaos-health --wait 1m - | chaos-notify aborted --reason "$1"
}

if [ $dry_run = yes ]; then
  echo "set -- ${*@Q}"
  declare -f pipeline | sed '1,2d;$d'
  chaos-inject status -o text </dev/null || true
  chaos-notify render aborted --reason "$1" </dev/null
else
  pipeline "$@"
fi
