#!/usr/bin/env bash
# Compile the API server and the controllers of a Kubernetes version into the cache, and print the path of the program. Nothing
# is done when it is there.
# usage: build.sh VERSION   as 1.33: its newest patch that can be had
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
here=$root/tests/versions minor=$1
bin=$CHAOS_CACHE/versions program=$CHAOS_CACHE/versions/control-$minor
mkdir -p "$bin"
exec 8>"$program.lock"
flock 8
sources=$({ go env GOVERSION && cat "$here/main.go" "$here/build.sh"; } | sha256sum | cut -d' ' -f1)
if [ -x "$program" ] && [ "$(cat "$program.stamp" 2>/dev/null)" = "$sources" ]; then
  echo "$program"
  exit
fi
work=$(mktemp -d "$bin/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/main.go" .
go mod init chaos.test/versions 2>/dev/null 8>&-
version=$(go list -m -versions k8s.io/kubernetes 8>&- | tr ' ' '\n' | grep -E "^v${minor//./\\.}\.[0-9]+$" | sort -V | tail -n 1)
[ -n "$version" ] || die "no Kubernetes $minor can be had"
say "compiling the API server and the controllers of Kubernetes $version (some minutes, once)"
# beside MODULE: its version of the same release, or the newest of the same minor version that can be had.
beside() {
  local same="v0.${version#v1.}" at
  for at in "$same" $(go list -m -versions "$1" 2>/dev/null | tr ' ' '\n' | grep "^v0\.${minor#1.}\.[0-9]*$" | sort -rV); do
    if go mod download "$1@$at" 2>/dev/null; then
      echo "-replace=$1=$1@$at"
      return
    fi
  done
  # Not all of them are asked for.
  echo "-replace=$1=$1@$same"
}
# What Kubernetes keeps beside it in one repository.
go mod download -json "k8s.io/kubernetes@$version" 8>&- | jq -r .GoMod |
  xargs sed -n 's|^\t\(k8s.io/[a-z-]*\) => ./staging/.*|\1|p' >staging
while IFS= read -r module; do
  beside "$module" 8>&- </dev/null
done <staging >replaced
xargs go mod edit "-require=k8s.io/kubernetes@$version" <replaced 8>&-
go mod tidy >said 2>&1 8>&- || die "$(tail -n 3 said)"
flags="-s -w"
for setting in "gitVersion=$version" gitMajor=1 "gitMinor=${minor#1.}"; do
  flags+=" -X k8s.io/component-base/version.$setting -X k8s.io/client-go/pkg/version.$setting"
done
# Nobody debugs it.
CGO_ENABLED=0 go build -trimpath -gcflags=all=-dwarf=false -ldflags "$flags" -o control . 8>&-
mv control "$program"
echo "$sources" >"$program.stamp"
echo "$program"
