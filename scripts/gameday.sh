#!/usr/bin/env bash
# Hold a game day: run experiments one after the other, and review them together.
#
# usage: gameday.sh [--dry-run] EXPERIMENT…   (chaos.toml as for every tool)
#
# Each EXPERIMENT is a name, with its options in the same word: gameday.sh pod-failure "scale-down --count 1".
# All are planned before the first is run. The game day stops where an experiment is aborted, or leaves something that
# is not restored. All streams, and the review behind them, go to standard output; the status is the review's, and
# never 0 where an experiment did not end well.
#   --dry-run   print each experiment's pipeline and show its plan; touch and tell nothing
set -euo pipefail
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { echo "gameday.sh: $*" >&2; }
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

dry_run=no experiments=()
for word; do
  case $word in
    -h | --help) usage; exit ;;
    --dry-run) dry_run=yes ;;
    -*) say "no such option: $word"; exit 2 ;;
    *) experiments+=("$word") ;;
  esac
done
[ ${#experiments[@]} -gt 0 ] || { usage >&2; exit 2; }

if [ $dry_run = yes ]; then
  for experiment in "${experiments[@]}"; do
    read -ra words <<<"$experiment"
    "$here/experiment.sh" --dry-run "${words[@]}"
  done
  echo "chaos-report review --runs RUN…"
  exit
fi

# A name or an option that is wrong ends it here, before anything is touched.
for experiment in "${experiments[@]}"; do
  read -ra words <<<"$experiment"
  chaos-inject plan "${words[@]}" </dev/null >/dev/null
done

streams=$(mktemp -d)
trap 'rm -rf "$streams"' EXIT
# is_over STREAM: whether an experiment was aborted, or left something, so that no other one may follow it.
is_over() { grep -Eq '"outcome":"(aborted|not_restored)"' "$1" || ! chaos-inject status </dev/null >"$1.status"; }

runs=() status=0
for experiment in "${experiments[@]}"; do
  stream=$(printf '%s/%03d' "$streams" ${#runs[@]})
  read -ra words <<<"$experiment"
  say "$experiment"
  "$here/experiment.sh" "${words[@]}" </dev/null >"$stream" || status=$?
  run=$(grep -m 1 -o '"run":"[^"]*"' "$stream" | head -n 1 | cut -d '"' -f 4) || true
  [ -n "$run" ] || { say "$experiment left no records: stopped"; break; }
  runs+=("$run")
  if is_over "$stream"; then
    say "stopped after $experiment: it was aborted, or something is left (chaos-inject status)"
    break
  fi
done
[ ${#runs[@]} -gt 0 ] || exit "$status"
cat "$streams"/* | chaos-report review --runs "${runs[@]}"
exit "$status"
