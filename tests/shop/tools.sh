#!/usr/bin/env bash
# Make an image with chaos-verify on the shop's base layer, and load it into the throw-away cluster: what performance.image names.
# usage: tools.sh FOLDER-OF-TOOLS      prints the image's name
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# = 1 ] || die "usage: tools.sh FOLDER-OF-TOOLS"
ours || die "this loads images into the throw-away cluster only"
[ -e "$CACHE/images/shop-base.layer" ] || "$shop/build.sh"
# Named after what is in it, so that a pod never gets an older one.
image=chaos.test/tools:$(sha256sum <"$1/chaos-verify" | cut -c1-12)
state=${KUBECONFIG%/*}
if [ -z "$(ctr -a "$state/containerd.sock" -n k8s.io images list -q "name==$image")" ]; then
  work=$(mktemp -d "$CACHE/images/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/root/usr/local/bin"
  strip -o "$work/root/usr/local/bin/chaos-verify" "$1/chaos-verify"
  tar -C "$work/root" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/tools.layer" usr
  "$shop/../cluster/image.py" "$work/tools.tar" "$image" '{"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"}' \
    "$CACHE/images/shop-base.layer" "$work/tools.layer"
  ctr -a "$state/containerd.sock" -n k8s.io images import "$work/tools.tar" >/dev/null
fi
echo "$image"
