#!/usr/bin/env bash
# Compile what the cluster runs into the cache: bin/kube, bin/kubectl and the pause image. Nothing is done when nothing changed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$CACHE/bin" "$CACHE/images"
cd "$here"
sources=$(go env GOVERSION 2>/dev/null | digest go.mod go.sum build.sh image.py main.go ./*/*.go) ||
  die "no Go here; scripts/setup.sh gets it"
current() { [ -x "$KUBE" ] && [ -x "$KUBECTL" ] && [ -e "$CACHE/images/pause.tar" ] && [ "$(cat "$CACHE/bin/kube.stamp" 2>/dev/null)" = "$sources" ]; }
! current || exit 0
exec 8>"$CACHE/bin/lock"
flock --nonblock 8 || { say "waiting for another build"; flock 8; }
! current || exit 0

say "compiling Kubernetes (some six minutes on two cores the first time, seconds after that)"
version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
minor=${version#v1.}
flags="-s -w"
for setting in "gitVersion=$version" gitMajor=1 "gitMinor=${minor%%.*}"; do
  flags+=" -X k8s.io/component-base/version.$setting -X k8s.io/client-go/pkg/version.$setting"
done
new=$(mktemp -d "$CACHE/bin/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
# Nobody debugs these: a tenth of the compiler's time is what only a debugger reads, and another its collection of garbage.
CGO_ENABLED=0 GOGC=400 go build -trimpath -gcflags=all=-dwarf=false -ldflags "$flags" -o "$new/" . ./kubectl ./pause 8>&- &
compiler=$!
while kill -0 "$compiler" 2>/dev/null; do
  sleep 0.2
  if ((SECONDS >= ${report:=30})); then
    say "still compiling"
    report=$((report + 30))
  fi
done
wait "$compiler" || die "the Go compiler failed, see above"
tar -C "$new" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$new/pause.tar" pause
./image.py "$CACHE/images/pause.tar" chaos.test/pause:1 '{"Cmd":["/pause"]}' "$new/pause.tar"
mv "$new/cluster" "$KUBE"
mv "$new/kubectl" "$KUBECTL"
echo "$sources" >"$CACHE/bin/kube.stamp"
say "compiled $(du -h --apparent-size "$KUBE" | cut -f1) of kube and $(du -h --apparent-size "$KUBECTL" | cut -f1) of kubectl"
