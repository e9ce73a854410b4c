#!/usr/bin/env bash
# Run an experiment as the runbook does, from the health check to the report, and end with its status.
# usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject run]…   (chaos.toml as for every tool)
# Where data goes with the pods, say which may: --accept-loss NAME, as chaos-inject plan EXPERIMENT names it.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: experiment.sh EXPERIMENT [OPTION OF chaos-inject run]…" >&2; exit 2; }

# What is planned is what is run. Only consent and override are the run's alone; who is told of it hears why a gate is
# overridden.
plan=() overriding=() value_follows=
for word in "$@"; do
  if [ -n "$value_follows" ]; then
    value_follows= overriding=(--override "$word")
    continue
  fi
  case $word in
    -y | --yes) ;;
    --override=*) overriding=("$word") ;;
    --override) value_follows=1 ;;
    *) plan+=("$word") ;;
  esac
done

# A run that will be refused is announced to nobody. The last one tells how it ended: completed, aborted or critical.
chaos-health | chaos-backup-check | chaos-verify baseline |
  chaos-inject plan "${plan[@]}" | chaos-notify scheduled "${overriding[@]}" |
  chaos-inject run "$@" --yes | chaos-verify | chaos-report | chaos-notify completed
