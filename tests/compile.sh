#!/usr/bin/env bash
# Compile a Go program that tests need into the cache: bin/NAME. Nothing is done when nothing changed.
# usage: compile.sh FOLDER NAME PACKAGE   PACKAGE of the module in this folder of tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/$1"
name=$2 package=$3
bin=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}/bin
mkdir -p "$bin"
sources=$({ go env GOVERSION && cat ./* ../compile.sh; } | sha256sum | cut -d' ' -f1)
current() { [ -x "$bin/$name" ] && [ "$(cat "$bin/$name.stamp" 2>/dev/null)" = "$sources" ]; }
! current || exit 0
exec 8>"$bin/$name.lock"
flock 8
! current || exit 0
SECONDS=0
echo "compiling $name (one to two minutes, once)" >&2
new=$(mktemp -d "$bin/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
# Nobody debugs it.
CGO_ENABLED=0 go build -trimpath -gcflags=all=-dwarf=false -ldflags "-s -w" -o "$new/$name" "$package" 8>&-
mv "$new/$name" "$bin/$name"
echo "$sources" >"$bin/$name.stamp"
echo "compiled $name: $(du -h "$bin/$name" | cut -f1) in $SECONDS s" >&2
