#!/usr/bin/env bash
# Make the shop's image archive in the cache: images/shop.tar. The Debian layer below the program is made once.
set -euo pipefail
shop=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
images=$CACHE/images
image_py=$shop/../cluster/image.py
config='{"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"], "WorkingDir": "/"}'
mkdir -p "$images"
cd "$shop"

base=$(sha256sum <base.sh | cut -d' ' -f1)
sources=$({ go env GOVERSION && echo "$base $config" && sha256sum app/* "$image_py"; } | sha256sum | cut -d' ' -f1)
current() { [ -e "$images/shop.tar" ] && [ "$(cat "$images/shop.stamp" 2>/dev/null)" = "$sources" ]; }
! current || exit 0
exec 8>"$images/lock"
flock 8
! current || exit 0

if [ "$(cat "$images/shop-base.stamp" 2>/dev/null)" != "$base" ]; then
  SECONDS=0
  echo "making the shop's base layer (one to five minutes, once)" >&2
  ./base.sh "$images/shop-base.part"
  mv "$images/shop-base.part" "$images/shop-base.layer"
  echo "$base" >"$images/shop-base.stamp"
  echo "made the shop's base layer: $(du -h "$images/shop-base.layer" | cut -f1) in $SECONDS s" >&2
fi
SECONDS=0
work=$(mktemp -d "$images/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/usr/local/bin"
(cd app && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/tree/usr/local/bin/shop" .)
tar -C "$work/tree" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/app.layer" usr
"$image_py" "$images/shop.tar" chaos.test/shop:1 "$config" "$images/shop-base.layer" "$work/app.layer"
echo "$sources" >"$images/shop.stamp"
echo "made the shop's image: $(du -h "$images/shop.tar" | cut -f1) in $SECONDS s" >&2
