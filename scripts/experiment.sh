#!/usr/bin/env bash
# Run an experiment as the runbook does, from the health check to the report, and end with its status.
#
# usage: experiment.sh [--dry-run] EXPERIMENT [OPTION OF chaos-inject plan]…   (chaos.toml as for every tool)
#
# What is planned and announced is what is run, and nothing else. The stream of all tools goes to standard output.
# Where data goes with the pods, say which may: --accept-loss NAME, as chaos-inject plan EXPERIMENT names it.
#   --dry-run   print the pipeline, then check health and backups and show the plan; touch and tell nothing
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
[ $# -gt 0 ] || { usage >&2; exit 2; }

# A run that will be refused is announced to nobody. The last one tells how it ended: completed, aborted or critical.
pipeline() {
  chaos-health | chaos-backup-check | chaos-verify baseline |
    chaos-inject plan "$@" | chaos-notify scheduled |
    chaos-inject run --yes | chaos-verify | chaos-report | chaos-notify completed
}

if [ $dry_run = yes ]; then
  echo "set -- ${*@Q}"
  declare -f pipeline | sed '1,2d;$d'
  chaos-health | chaos-backup-check | CHAOS_OUTPUT=text chaos-inject plan "$@"
else
  pipeline "$@"
fi
