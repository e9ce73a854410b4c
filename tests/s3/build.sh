#!/usr/bin/env bash
# Compile an S3 server for the tests into the cache: bin/versitygw. Nothing is done when nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bin=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}/bin
mkdir -p "$bin"
sources=$({ go env GOVERSION && cat go.mod go.sum build.sh; } | sha256sum | cut -d' ' -f1)
current() { [ -x "$bin/versitygw" ] && [ "$(cat "$bin/versitygw.stamp" 2>/dev/null)" = "$sources" ]; }
! current || exit 0
exec 8>"$bin/versitygw.lock"
flock 8
! current || exit 0
SECONDS=0
echo "compiling an S3 server (one to two minutes, once)" >&2
new=$(mktemp -d "$bin/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$new/versitygw" github.com/versity/versitygw/cmd/versitygw 8>&-
mv "$new/versitygw" "$bin/versitygw"
echo "$sources" >"$bin/versitygw.stamp"
echo "compiled an S3 server: $(du -h "$bin/versitygw" | cut -f1) in $SECONDS s" >&2
