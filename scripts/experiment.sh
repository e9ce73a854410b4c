#!/usr/bin/env bash
# Run an experiment as the runbook does, from the health check to the report, and end with its status.
# usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject run]…   (chaos.toml as for every tool)
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject run]…" >&2; exit 2; }
chaos-health | chaos-backup-check | chaos-verify baseline | chaos-notify scheduled --experiment "$1" |
  chaos-inject run "$@" --yes | chaos-verify | chaos-report | chaos-notify completed
