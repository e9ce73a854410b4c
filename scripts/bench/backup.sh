#!/usr/bin/env bash
# Speed and memory of chaos-backup-check on a gigabyte. The data is made once and kept in the cache: 3 GB.
# usage: backup.sh FOLDER-OF-TOOLS   (run by bench.sh)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tools=$1
postgres=$("$root/scripts/postgres.sh")
data=$CHAOS_CACHE/bench-backup
if [ ! -e "$data/small.tar.gz" ]; then
  say "making a gigabyte of backups"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cp -a "$postgres" "$work/postgres"
  cp "$root/scripts/bench/backup-data.sh" "$root/scripts/bench/rows.py" "$work"
  mkdir "$work/data"
  if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work" && chown nobody "$work/data"
    setpriv --reuid nobody --regid nogroup --clear-groups bash "$work/backup-data.sh" "$work/data" "$work/postgres"
  else
    bash "$work/backup-data.sh" "$work/data" "$work/postgres"
  fi
  mkdir -p "$data"
  mv "$work"/data/* "$data"
fi
python3 "$root/scripts/bench/backup.py" "$tools/chaos-backup-check" "$data" "$postgres/17/bin/pg_restore"
