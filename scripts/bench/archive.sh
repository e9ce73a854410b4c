#!/usr/bin/env bash
# The archive of chaos-report with ten thousand runs, in a folder and in PostgreSQL: reading it into the index, lists and reviews.
# usage: archive.sh FOLDER-OF-TOOLS [RUNS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tool=$(realpath "$1")/chaos-report
runs=${2:-10000}
folder=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill -QUIT "$server" && wait "$server"; } || true
  rm -rf "$folder"
}
trap stop EXIT
archive=$folder/archive
python3 "$root/scripts/bench/archive.py" "$archive" "$runs"
echo "$runs runs, $(du -sh "$archive" | cut -f1) of streams and reports"
# measure WHAT TIMES ARGUMENT…: the median of so many runs; seconds and the peak of memory
measure() {
  local what=$1 times=$2
  shift 2
  for _ in $(seq "$times"); do
    /usr/bin/time -f '%e %M' -o "$folder/time" "$tool" "$@" "${where[@]}" </dev/null >/dev/null 2>"$folder/stderr" || {
      cat "$folder/stderr" >&2
      exit 1
    }
    cat "$folder/time"
  done | sort -n | sed -n "$(((times + 1) / 2))p" | {
    read -r seconds kib
    printf '%-34s %6s s  %4d MB\n' "$what" "$seconds" $((kib / 1024))
  }
}
all() {
  measure "list" 5 list
  measure "list --status fail" 5 list --status fail
  measure "search data.rows" 5 search data.rows
  measure "review month 2025-06" 5 review month 2025-06
  measure "review year 2025" 5 review year 2025
}
where=(--archive "$archive")
measure "list, without an index" 1 list
all
measure "export --all" 1 export --all --to "$folder/all.tar.gz"

echo "the same in PostgreSQL"
programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
chmod 755 "$folder" && mkdir -m 777 "$folder/server"
as_nobody=()
[ "$(id -u)" != 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
"${as_nobody[@]}" "$programs/initdb" -U postgres -A trust -E UTF8 --no-locale -D "$folder/server/data" >/dev/null
"${as_nobody[@]}" "$programs/postgres" -D "$folder/server/data" -k "$folder/server" -c listen_addresses= 2>"$folder/log" &
server=$!
until "$programs/pg_isready" -q -h "$folder/server"; do sleep 0.1; done
cat >"$folder/chaos.toml" <<END
[report]
archive = "$folder/copies"
[report.database]
host = "$folder/server"
name = "postgres"
user = "postgres"
END
where=(--config "$folder/chaos.toml")
measure "import" 1 import "$folder/all.tar.gz"
all
