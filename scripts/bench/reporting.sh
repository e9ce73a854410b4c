#!/usr/bin/env bash
# The report of an experiment beside that of Chaos Toolkit (chaostoolkit-reporting, with the pandoc that it needs) on a journal of a
# like one: time, what is installed for it, and which answers the report holds.
# usage: reporting.sh FOLDER-OF-TOOLS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tool=$(realpath "$1")/chaos-report
venv=$CHAOS_CACHE/chaostoolkit-reporting
if [ ! -x "$venv/bin/chaos" ]; then
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet chaostoolkit chaostoolkit-reporting pypandoc_binary; }; then
    rm -rf "$venv"
    echo "SKIPPED: chaostoolkit-reporting could not be installed" >&2
    exit 0
  fi
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
stream=$root/tools/chaos-report/tests/report/real/pod-failure.ndjson
# Its hypothesis, its fault and its proof, of which only the outcome counts here.
jq -n '{type: "process", path: "true"} as $true | {
  title: "pod-failure", description: "A pod of the backend is deleted", tags: ["shop"],
  "steady-state-hypothesis": {title: "The shop answers", probes: [
    {type: "probe", name: "the backend answers", tolerance: 0, provider: $true},
    {type: "probe", name: "all pods are ready", tolerance: 0, provider: $true}]},
  method: [{type: "action", name: "delete a pod", provider: $true}, {type: "probe", name: "its replacement is ready", provider: $true}],
  rollbacks: []}' >experiment.json
"$venv/bin/chaos" --no-version-check run --journal-path journal.json experiment.json >chaos.log 2>&1
# measure NAME COMMAND…: the median of five
measure() {
  local name=$1
  shift
  for _ in 1 2 3 4 5; do
    rm -rf archive
    /usr/bin/time -f '%e %M' -o time "$@" <"$stream" >/dev/null 2>log || { cat log >&2 && exit 1; }
    cat time
  done | sort -n | sed -n 3p | while read -r seconds kib; do printf '%-24s %6s s  %4d MB\n' "$name" "$seconds" $((kib / 1024)); done
}
measure chaos-report "$tool" --archive archive
ours=$folder/ours.html
mv archive/*.html "$ours"
measure chaostoolkit-reporting "$venv/bin/chaos" --no-version-check report --export-format=html journal.json report.html
echo "installed: $(du -h "$tool" | cut -f1) and $(du -sh "$venv" | cut -f1)"
echo "HTML: $(stat -c %s "$ours") and $(stat -c %s report.html) bytes"
# asks QUESTION PATTERN: whether the text of each report answers it.
asks() {
  local answers=() text
  for report in "$ours" report.html; do
    text=$(sed 's/<[^>]*>/ /g' "$report")
    if grep -qiE "$2" <<<"$text"; then answers+=(yes); else answers+=(no); fi
  done
  printf '%-48s %-14s %s\n' "$1" "${answers[@]}"
}
printf '%-48s %-14s %s\n' "" chaos-report chaostoolkit-reporting
asks "what was done" "delete"
asks "how it came out" "pass|completed"
asks "how long until all was as before" "at its steady state again"
asks "what callers noticed" "requests"
asks "what differs from before" "before and after"
asks "which alerts fired" "alert"
asks "what was learned, what to do next" "next steps"
