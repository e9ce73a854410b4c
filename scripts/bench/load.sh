#!/usr/bin/env bash
# chaos-verify's load generator and its judge beside others. Those that are not here are fetched into the cache first.
# usage: load.sh FOLDER-OF-TOOLS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
tools=$(realpath "$1")
bin=$CHAOS_CACHE/bin
mkdir -p "$bin"

# debian PROGRAM PATH-IN-THE-PACKAGES PACKAGE…: Debian's packages, unpacked and not installed, so that no server starts.
debian() {
  local program=$1 path=$2 folder=$CHAOS_CACHE/debian/$1
  ! command -v "$program" >/dev/null && [ ! -x "$bin/$program" ] || return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && apt-get download -qq "${@:3}" 2>/dev/null && for package in ./*.deb; do dpkg -x "$package" .; done) || return 1
  [ -x "$folder/$path" ] || return 1
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$folder/usr/lib/$(uname -m)-linux-gnu" "$folder/$path" >"$bin/$program"
  chmod +x "$bin/$program"
}
# with_go PROGRAM MODULE
with_go() {
  command -v "$1" >/dev/null || [ -x "$bin/$1" ] || GOBIN=$bin GOFLAGS='' nice go install "$2" 2>/dev/null
}
with_cargo() {
  command -v "$1" >/dev/null || [ -x "$bin/$1" ] || nice cargo install --quiet --locked --root "$CHAOS_CACHE" "$1" 2>/dev/null
}
skipped() { echo "SKIPPED: $1 could not be fetched" >&2; }

say "fetching other load generators"
debian nginx usr/sbin/nginx nginx || skipped nginx
debian wrk usr/bin/wrk wrk libluajit-5.1-2 || skipped wrk
with_go hey github.com/rakyll/hey@latest || skipped hey
with_go vegeta github.com/tsenart/vegeta/v12@latest || skipped vegeta
with_go k6 go.k6.io/k6@latest || skipped k6
with_cargo oha || skipped oha
python3 "$root/scripts/bench/load.py" "$tools/chaos-verify" "$root"
