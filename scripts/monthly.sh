#!/usr/bin/env bash
# Write the monthly report and send it to the team and the management; for cron.
#
# usage: monthly.sh [--dry-run] [OPTION OF chaos-report monthly]…   (chaos.toml as for every tool)
#
# On the first of a month the report is on the one that is over; --month 2026-11 names another.
#   --dry-run   print the pipeline; write and send nothing
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no words=()
for word; do
  case $word in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    *) words+=("$word") ;;
  esac
done
set -- "${words[@]}"

pipeline() {
  chaos-report monthly "$@" </dev/null | chaos-notify monthly
}

if [ $dry_run = yes ]; then
  echo "set -- ${*@Q}"
  declare -f pipeline | sed '1,2d;$d'
else
  pipeline "$@"
fi
