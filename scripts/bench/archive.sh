#!/usr/bin/env bash
# The archive of chaos-report with ten thousand runs: reading it into the index, lists and reviews.
# usage: archive.sh FOLDER-OF-TOOLS [RUNS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tool=$(realpath "$1")/chaos-report
runs=${2:-10000}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=$folder/archive
python3 "$root/scripts/bench/archive.py" "$archive" "$runs"
echo "$runs runs, $(du -sh "$archive" | cut -f1) of streams and reports"
# measure WHAT ARGUMENT…: the median of five for the quick ones; seconds and the peak of memory
measure() {
  local what=$1 times=$2
  shift 2
  for _ in $(seq "$times"); do
    /usr/bin/time -f '%e %M' -o "$folder/time" "$tool" "$@" --archive "$archive" </dev/null >/dev/null 2>"$folder/stderr"
    cat "$folder/time"
  done | sort -n | sed -n "$(((times + 1) / 2))p" | {
    read -r seconds kib
    printf '%-34s %6s s  %4d MB\n' "$what" "$seconds" $((kib / 1024))
  }
}
measure "list, without an index" 1 list
measure "list" 5 list
measure "list --status fail" 5 list --status fail
measure "search data.rows" 5 search data.rows
measure "review month 2025-06" 5 review month 2025-06
measure "review year 2025" 5 review year 2025
