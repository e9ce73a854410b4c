#!/usr/bin/env bash
# Make an image of the tools, without Docker: dist/chaos-runbook-VERSION-image.tar. It holds the programs, the C library
# that they are linked with, the certificates of the usual authorities, and a line that says how names are looked up; no
# shell and nothing else.
#   IMAGE              its name (default chaos-runbook:VERSION)
#   TOOLS              which tools (default all six)
#   DIST               the folder (default dist)
#   PROGRAMS           the folder of the programs (default: they are built)
#   CERTIFICATES       the authorities (default those of this machine)
#   SOURCE_DATE_EPOCH  the time that all files bear (default: that of the last commit)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
dist=$(realpath -m "${DIST:-$root/dist}")
image=${IMAGE:-chaos-runbook:$version}
file=$dist/chaos-runbook-$version-image.tar
certificates=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
read -ra wanted <<<"${TOOLS:-${TOOL_NAMES[*]}}"
[ -s "$certificates" ] || die "no certificates in $certificates: install ca-certificates, or name another file as CERTIFICATES"
# Before this version it looks names up by libraries that no program names.
at_least=2.34 found=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
printf '%s\n' $at_least "$found" | sort --check=quiet --version-sort || die "the C library is $found; $at_least or newer is needed"
PROGRAMS=${PROGRAMS:-$("$root/scripts/build.sh")}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layer=$work/layer
for tool in "${wanted[@]}"; do
  install -D -m 755 "$PROGRAMS/$tool" "$layer/usr/bin/$tool"
  ldd "$PROGRAMS/$tool" | grep -o '/[^ ]*'
done | sort -u >"$work/libraries"
while IFS= read -r library; do
  install -D -m 755 "$library" "$layer$library"
done <"$work/libraries"
install -D -m 644 "$certificates" "$layer/etc/ssl/certs/ca-certificates.crt"
# Without it, names in /etc/hosts, such as those of hostAliases, would be asked of the name server first.
echo "hosts: files dns" >"$layer/etc/nsswitch.conf"
packed "$layer" >"$work/layer.tar"
config=$(jq -nc --arg version "$version" --arg tool "${wanted[0]}" '{
  User: "65532:65532", WorkingDir: "/", Env: ["PATH=/usr/bin"], Cmd: [$tool],
  Labels: {"org.opencontainers.image.title": "chaos-runbook", "org.opencontainers.image.version": $version,
    "org.opencontainers.image.licenses": "MIT OR Apache-2.0"}}')
mkdir -p "$dist"
"$root/scripts/oci.py" "$file" "$image" "$config" "$work/layer.tar"
(cd "$dist" && sha256sum chaos-runbook* >SHA256SUMS)
echo "$file: $image, $(stat -c %s "$file") bytes, $(stat -c %s "$work/layer.tar") unpacked"
