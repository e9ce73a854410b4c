#!/usr/bin/env bash
# The fingerprint of a table of 10 million rows in a PostgreSQL of its own: what it finds, and what it costs beside count(*)
# and pg_dump | sha256sum.
# usage: fingerprint.sh FOLDER-OF-TOOLS [ROWS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tools=$(realpath "$1")
rows=${2:-10000000}
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort | tail -n 1)
if [ ! -x "$bin/initdb" ]; then
  echo "SKIPPED: no PostgreSQL server here; scripts/setup.sh installs it" >&2
  exit 0
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/chaos-fingerprint.XXXXXX")
# The table, its index and what sorts and updates add: some 250 bytes a row.
wants=$((rows * 250 / 1024)) free=$(df --output=avail -k "$folder" | tail -n 1)
as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses root
  chown nobody "$folder"
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
server() { (cd "$folder" && HOME=$folder "${as[@]}" "$bin/$1" "${@:2}"); }
clean() {
  server pg_ctl -D data -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT TERM
if [ "$free" -lt "$wants" ]; then
  echo "SKIPPED: the fingerprint of $rows rows wants $((wants / 1048576 + 1)) GiB in $folder" >&2
  exit 0
fi
server initdb -D data -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
# Settings of a small server; what only makes the filling quicker changes no reading.
server pg_ctl -D data -l log -w start -o "-k $folder -p 5432 -c listen_addresses= -c fsync=off -c wal_level=minimal \
  -c max_wal_senders=0 -c shared_buffers=512MB -c max_wal_size=4GB -c autovacuum=off" >/dev/null
python3 "$root/scripts/bench/fingerprint.py" "$tools/chaos-verify" "$folder" "$rows"
