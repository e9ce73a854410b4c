#!/usr/bin/env bash
# Make the shop image's base layer: Debian with PostgreSQL, Prometheus, Alertmanager and stress, less what the shop never reads.
# usage: base.sh OUT.tar
set -euo pipefail

# Debian's PostgreSQL package makes a database and wraps its programs in Perl; the shop wants neither.
# shellcheck disable=SC2016 # in a hook, $1 is the new root, and the hook's own shell expands it
hook='set -e
cd "$1"
rm -rf var/lib/postgresql/* etc/postgresql/* var/lib/apt/lists/* var/cache/apt/* var/cache/debconf/* var/log/*
cd "$1/usr/share"
rm -rf doc man info locale i18n perl perl5 postgresql-common zsh bash-completion fonts javascript nodejs prometheus/web common-licenses
cd "$1/usr/lib/x86_64-linux-gnu"
rm -rf perl gconv libLLVM* libz3* libperl*
cd "$1/usr/lib"
rm -rf llvm-* locale/locale-archive postgresql/15/lib/bitcode postgresql/15/lib/llvmjit* postgresql/15/lib/pgxs
cd "$1/usr/bin"
rm -f promtool amtool localedef perl perl5.36.0 tsdb
find . -lname ../share/postgresql-common/pg_wrapper -delete
for program in ../lib/postgresql/15/bin/*; do ln -sf "$program" "${program##*/}"; done'

# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=essential --format=tar \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/javascript/*' \
  --essential-hook='mkdir -p "$1/etc/postgresql-common"; echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
  --include=postgresql-15,prometheus,prometheus-alertmanager,curl,ca-certificates,iputils-ping,procps,stress \
  --customize-hook="$hook" \
  bookworm "$1"
