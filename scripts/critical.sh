#!/usr/bin/env bash
# The system failed: assess it, stop every experiment and roll all workloads back, look again, tell the management.
#
# usage: critical.sh [--dry-run] [--impact TEXT] ISSUE…   (chaos.toml as for every tool)
#
# The rollback is the runbook's: every Deployment that chaos.toml names gets its previous revision.
# To stop experiments and undo their faults alone, there is abort.sh.
#   --impact TEXT   what users notice
#   --dry-run       print the pipeline, then assess, and show what would be rolled back and told; change and tell nothing
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

dry_run=no impact=() words=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    --impact)
      [ $# -gt 1 ] || { usage >&2; exit 2; }
      impact=(--impact "$2")
      shift
      ;;
    --impact=*) impact=("$1") ;;
    -*) echo "critical.sh: no such option: $1" >&2; exit 2 ;;
    *) words+=("$1") ;;
  esac
  shift
done
[ ${#words[@]} -gt 0 ] || { usage >&2; exit 2; }
set -- --issue "${words[*]}" "${impact[@]}"

pipeline() {
  chaos-inject rollback --emergency | chaos-health --wait 2m - | chaos-notify critical "$@"
}

# The assessment is for those who watch, and holds nothing up.
chaos-health --deadline 10s -o text >&2 || true
if [ $dry_run = yes ]; then
  echo "set -- ${*@Q}"
  declare -f pipeline | sed '1,2d;$d'
  chaos-inject rollback --dry-run -o text </dev/null
  chaos-notify render critical "$@" </dev/null
else
  pipeline "$@"
fi
