#!/usr/bin/env bash
# How many damaged backups does chaos-backup-check pass? Makes good ones with real programs of several versions,
# damages them, and asks; pg_restore and tar stand beside. usage: truth.sh [DAMAGED]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
truth=$root/tools/chaos-backup-check/tests/truth
postgres=$("$root/scripts/postgres.sh")
cargo build --release -p chaos-backup-check --quiet --manifest-path "$root/Cargo.toml"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# PostgreSQL refuses to run as root, whose folders others may not enter.
cp -a "$postgres" "$work/postgres"
cp "$truth/make-good.sh" "$work"
mkdir "$work/good" "$work/good-schema-only"
say "making good backups"
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$work" && chown nobody "$work/good" "$work/good-schema-only"
  setpriv --reuid nobody --regid nogroup --clear-groups bash "$work/make-good.sh" "$work/good" "$work/postgres"
else
  bash "$work/make-good.sh" "$work/good" "$work/postgres"
fi
say "damaging them"
PATH=$work/postgres/17/bin:$PATH python3 "$truth/truth.py" "$CARGO_TARGET_DIR/release/chaos-backup-check" "$work/good" --schema-only "$work/good-schema-only" --damaged "${1:-2400}" --peers
