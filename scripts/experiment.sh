#!/usr/bin/env bash
# Run an experiment as the runbook does, from the health check to the report, and end with its status.
# usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject plan]…   (chaos.toml as for every tool)
# What is planned and announced is what is run, and nothing else.
# Where data goes with the pods, say which may: --accept-loss NAME, as chaos-inject plan EXPERIMENT names it.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject plan]…" >&2; exit 2; }

chaos-health | chaos-backup-check | chaos-verify baseline |
  chaos-inject plan "$@" | chaos-notify scheduled |
  chaos-inject run --yes | chaos-verify | chaos-report | chaos-notify completed
