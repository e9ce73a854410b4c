#!/usr/bin/env bash
# Put load on the application. Without a baseline, take one; with one, judge whether it is as quick as then.
#
# usage: performance-test.sh [--load=PROFILE] [--duration=TIME] [--baseline=FILE] [--dry-run]
#
#   performance-test.sh --load=normal --duration=5m >before.ndjson
#   performance-test.sh --load=normal --duration=5m --baseline=before.ndjson
#
#   --load=PROFILE     a profile of chaos.toml [default: normal]
#   --duration=TIME    instead of the profile's own
#   --baseline=FILE    compare with this stream, rather than take a baseline
#   --dry-run          print the pipeline
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no baseline='' load=--load=normal duration=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    --load | --duration | --baseline)
      [ $# -gt 1 ] || { usage >&2; exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --load=*) load=$1 ;;
    --duration=*) duration=("$1") ;;
    --baseline=*) baseline=${1#*=} ;;
    *) echo "performance-test.sh: no such option: $1" >&2; exit 2 ;;
  esac
  shift
done
set -- "$load" "${duration[@]}"

take() { chaos-health | chaos-verify baseline "$@"; }
compare() { chaos-verify "$@" <"$baseline"; }

if [ -z "$baseline" ]; then what=take; else what=compare; fi
[ -z "$baseline" ] || [ -r "$baseline" ] || { echo "performance-test.sh: cannot read $baseline" >&2; exit 2; }
if [ $dry_run = yes ]; then
  echo "set -- ${*@Q}; baseline=${baseline@Q}"
  declare -f $what | sed '1,2d;$d'
else
  $what "$@"
fi
