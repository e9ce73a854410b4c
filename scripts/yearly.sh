#!/usr/bin/env bash
# Review the year, show the next steps that are not done, and bring a team's own documents up to date.
#
# usage: yearly.sh [--dry-run] [--year=2026] [DOCUMENT…]   (chaos.toml as for every tool)
#
# The review also holds the goals against the year, and proposes experiments that were never tried.
# What experiments showed is written into each DOCUMENT, under a marked heading of its own.
#   --year=2026   review this one [default: that of yesterday]
#   --dry-run     print the commands, and show what would change in the documents; write nothing
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no year=() documents=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    --year)
      [ $# -gt 1 ] || { usage >&2; exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --year=*) year=("${1#*=}") ;;
    -*) echo "yearly.sh: no such option: $1" >&2; exit 2 ;;
    *) documents+=("$1") ;;
  esac
  shift
done

review=(chaos-report review year "${year[@]}")
if [ $dry_run = yes ]; then
  echo "${review[*]}; chaos-report action list"
  [ ${#documents[@]} = 0 ] || chaos-report runbook --dry-run "${documents[@]}"
  exit
fi
"${review[@]}" </dev/null
chaos-report action list -o text >&2
[ ${#documents[@]} = 0 ] || chaos-report runbook "${documents[@]}" >&2
