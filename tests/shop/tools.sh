#!/usr/bin/env bash
# Make an image of tools on the shop's base layer, and load it into the throw-away cluster. Prints its name.
# usage: tools.sh FOLDER-OF-TOOLS [all]   chaos-verify alone, which is what performance.image names; or all tools and scripts
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# = 1 ] || [ "${2:-}" = all ] || die "usage: tools.sh FOLDER-OF-TOOLS [all]"
ours || die "this loads images into the throw-away cluster only"
[ -e "$CACHE/images/shop-base.layer" ] || "$shop/build.sh"
programs=("$1/chaos-verify") scripts=()
if [ "${2:-}" = all ]; then
  programs=("$1"/chaos-{health,backup-check,notify,inject,verify,report})
  scripts=("$shop"/../../scripts/{experiment,gameday,abort,critical,nightly-backup-check,performance-test,monthly,quarterly,yearly}.sh)
fi
# Named after what is in it, so that a pod never gets an older one.
image=chaos.test/tools:$(cat "${programs[@]}" "${scripts[@]}" | sha256sum | cut -c1-12)
state=${KUBECONFIG%/*}
if [ -z "$(ctr -a "$state/containerd.sock" -n k8s.io images list -q "name==$image")" ]; then
  work=$(mktemp -d "$CACHE/images/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/tree/usr/local/bin"
  for program in "${programs[@]}"; do strip -o "$work/tree/usr/local/bin/${program##*/}" "$program"; done
  [ ${#scripts[@]} = 0 ] || cp "${scripts[@]}" "$work/tree/usr/local/bin/"
  tar -C "$work/tree" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$work/tools.layer" usr
  "$shop/../cluster/image.py" "$work/tools.tar" "$image" '{"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"}' \
    "$CACHE/images/shop-base.layer" "$work/tools.layer"
  ctr -a "$state/containerd.sock" -n k8s.io images import "$work/tools.tar" >/dev/null
fi
echo "$image"
