#!/usr/bin/env bash
# Make what is handed out, in dist/: a tarball, a Debian package, a bill of materials (CycloneDX), and checksums. The same
# source gives the same bytes.
# usage: dist.sh [tarball | package | sbom]…   (default all three)
#   DIST               the folder (default dist)
#   PROGRAMS           the folder of the six programs (default: they are built)
#   MAINTAINER         who answers for the Debian package: NAME <ADDRESS>
#   SOURCE_DATE_EPOCH  the time that all files bear (default: that of the last commit)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
dist=$(realpath -m "${DIST:-$root/dist}")
PROGRAMS=${PROGRAMS:-$("$root/scripts/build.sh")}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export PROGRAMS SOURCE_DATE_EPOCH LC_ALL=C
name=chaos-runbook-$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"

# installed ROOT PREFIX: what make install puts in place, without the list by which it is taken away.
installed() {
  DESTDIR=$1 PREFIX=$2 "$root/scripts/install.sh" >/dev/null
  rm "$1$2/share/chaos-runbook/installed"
}

tarball() {
  rm -f "$dist"/chaos-runbook*.tar.xz
  installed "$work/tarball" "/$name"
  packed "$work/tarball" | xz -9 -T1 >"$dist/$name-$(uname -m)-linux.tar.xz"
}

package() {
  local package=$work/package documents=$work/package/usr/share/doc/chaos-runbook architecture libc
  architecture=$(dpkg --print-architecture)
  rm -f "$dist"/chaos-runbook*.deb
  installed "$package" /usr
  find "$package/usr/share/man" -type f -exec gzip -9n {} +
  mv "$documents/CHANGELOG.md" "$documents/changelog"
  gzip -9n "$documents/changelog"
  {
    echo "chaos-runbook, licensed under either of the Apache License 2.0 and the MIT License."
    printf '\n%s\n\n' "On Debian systems, the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0."
    cat "$root/LICENSE-MIT"
  } >"$documents/copyright"
  rm "$documents"/LICENSE-*
  mkdir "$package/DEBIAN"
  # The C library is asked for by the newest of its symbols that a program wants.
  libc=$(objdump -T "${TOOL_NAMES[@]/#/$PROGRAMS/}" | grep -o 'GLIBC_2[.0-9]*' | sort -Vu | tail -n 1)
  cat >"$package/DEBIAN/control" <<END
Package: chaos-runbook
Version: $version
Architecture: $architecture
Maintainer: ${MAINTAINER:-chaos-runbook <chaos-runbook@localhost>}
Depends: libc6 (>= ${libc#GLIBC_}), libgcc-s1
Recommends: ca-certificates
Suggests: kubectl
Installed-Size: $(du -sk --apparent-size "$package/usr" | cut -f1)
Section: admin
Priority: optional
Description: chaos-engineering runbook for Kubernetes
 Six tools that break an application on purpose, prove that it broke, prove that
 it recovered, and tell everybody who has to know: chaos-health,
 chaos-backup-check, chaos-notify, chaos-inject, chaos-verify, chaos-report.
END
  (cd "$package" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  chmod -R u+rwX,go+rX,go-w "$package"
  find "$package" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$package" "$dist/chaos-runbook_${version}_$architecture.deb" >/dev/null
}

sbom() {
  rm -f "$dist"/chaos-runbook*.cdx.json
  "$root/scripts/sbom.sh" >"$work/sbom"
  mv "$work/sbom" "$dist/$name.cdx.json"
}

[ $# -gt 0 ] || set -- tarball package sbom
for part in "$@"; do
  case $part in
    tarball | package | sbom) say "$part" && "$part" ;;
    *) die "usage: dist.sh [tarball | package | sbom]…" ;;
  esac
done
(cd "$dist" && sha256sum chaos-runbook* >SHA256SUMS)
(cd "$dist" && stat -c '%10s  %n' -- *)
