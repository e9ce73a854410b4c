#!/usr/bin/env bash
# Make acme's image archive in the cache: images/acme.tar, one static program and nothing else, so no shell.
set -euo pipefail
acme=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
images=$CACHE/images
image_py=$acme/../cluster/image.py
config='{"Entrypoint": ["/acme"], "User": "65532:65532", "WorkingDir": "/"}'
mkdir -p "$images"
cd "$acme"

sources=$({ go env GOVERSION && echo "$config" && sha256sum app/* "$image_py"; } | sha256sum | cut -d' ' -f1)
current() { [ -e "$images/acme.tar" ] && [ "$(cat "$images/acme.stamp" 2>/dev/null)" = "$sources" ]; }
! current || exit 0
exec 8>"$images/lock"
flock 8
! current || exit 0
SECONDS=0
work=$(mktemp -d "$images/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd app && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/acme" .)
tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/app.layer" acme
"$image_py" "$images/acme.tar" chaos.test/acme:1 "$config" "$work/app.layer"
echo "$sources" >"$images/acme.stamp"
echo "made acme's image: $(du -h "$images/acme.tar" | cut -f1) in $SECONDS s" >&2
