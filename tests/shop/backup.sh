#!/usr/bin/env bash
# Make real backups of the shop in the runbook's layout: DIR/database, DIR/application, DIR/configuration.
# usage: backup.sh DIR   (KUBECONFIG and CONTEXT name the cluster, as for up.sh)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
dir=${1:?usage: backup.sh DIR}
stamp=$(date -u +%Y%m%dT%H%M%SZ)
umask 022
mkdir -p "$dir"/{database,application,configuration}

# keep FOLDER NAME LATEST COMMAND…: the command's output under NAME once it is whole, and LATEST a link to it.
keep() {
  local folder=$dir/$1 name=$2 latest=$3
  shift 3
  "$@" >"$folder/.$name.part" || { rm -f "$folder/.$name.part"; die "$name was not made, see above"; }
  mv "$folder/.$name.part" "$folder/$name"
  ln -sfn "$name" "$folder/.$latest.link"
  mv -T "$folder/.$latest.link" "$folder/$latest"
  say "$folder/$name ($(stat -c %s "$folder/$name") bytes)"
}
dump() { k -n "$APP" exec deployment/ecommerce-database-deployment -- pg_dump -Fc; }
files() { tar -C "$shop" --sort=name --owner=0 --group=0 --numeric-owner -cz manifests app/index.html app/seed.sql; }
keep database "ecommerce-$stamp.dump" latest.dump dump
keep application "application-$stamp.tar.gz" latest.tar.gz files
for kind in configmaps secrets; do
  [ $kind = configmaps ] || umask 077
  k -n "$APP" get $kind -o yaml >"$dir/configuration/.latest-$kind.part"
  mv "$dir/configuration/.latest-$kind.part" "$dir/configuration/latest-$kind.yaml"
  say "$dir/configuration/latest-$kind.yaml"
done
