#!/usr/bin/env bash
# Check every backup to its last byte, then restore some for a trial; for cron: it is silent when all is well.
#
# usage: nightly-backup-check.sh [--export] [--drills TIME] [--textfile PATH] [--dry-run]   (chaos.toml as for every tool)
#
#   --export          back up the cluster's configuration first (chaos-backup-check export)
#   --drills TIME     restore for so long, what waited longest first [default: 2h]; 0 for none
#   --textfile PATH   write metrics of the check for node_exporter
#   --dry-run         print the commands
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no export=no drills=2h metrics=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    --export) export=yes ;;
    --drills | --textfile)
      [ $# -gt 1 ] || { usage >&2; exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --drills=*) drills=${1#*=} ;;
    --textfile=*) metrics=("$1") ;;
    *) echo "nightly-backup-check.sh: no such option: $1" >&2; exit 2 ;;
  esac
  shift
done

status=0
# step COMMAND…: runs it, and keeps the worst status so far, in the order of all tools.
step() {
  local own=0 one
  if [ $dry_run = yes ]; then echo "$*"; return; fi
  "$@" </dev/null || own=$?
  for one in 5 1 3 2 6 4; do
    if [ $own = $one ] || [ $status = $one ]; then status=$one; return; fi
  done
  status=$own
}

[ $export = no ] || step chaos-backup-check export --quiet
step chaos-backup-check --quiet --deadline 2h "${metrics[@]}"
[ "$drills" = 0 ] || step chaos-backup-check drill --all --max-time "$drills" --quiet
exit "$status"
