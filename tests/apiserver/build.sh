#!/usr/bin/env bash
# Compile an API server of another version into the cache, and print its path: three to ten minutes on two cores, once.
# usage: build.sh VERSION   such as 1.32.13
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$1 minor=${1#1.}
folder=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}/bin/$version
program=$folder/kube-apiserver
mkdir -p "$folder"
exec 8>"$folder/lock"
flock 8
if [ ! -x "$program" ]; then
  echo "compiling kube-apiserver $version (three to ten minutes, once)" >&2
  work=$(mktemp -d "$folder/new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cp main.go "$work/"
  own=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  # Kubernetes' own parts have no versions in its go.mod: older ones name folders beside it.
  parts=$(sed -nE 's#^\t(k8s\.io/[a-z-]+) (=> \./staging.*|v0\.0\.0)$#\1#p' "$own" | sort -u)
  {
    printf 'module chaos.test/apiserver\n\ngo 1.26.4\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$version"
    for part in $parts; do printf '\t%s => %s v0.%s\n' "$part" "$part" "$minor"; done
    printf ')\n'
  } >"$work/go.mod"
  flags="-s -w"
  for setting in "gitVersion=v$version" gitMajor=1 "gitMinor=${minor%%.*}"; do
    flags+=" -X k8s.io/component-base/version.$setting"
  done
  (cd "$work" && GOFLAGS=-mod=mod go mod tidy && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$program.part" .) >&2 8>&-
  mv "$program.part" "$program"
fi
echo "$program"
