# What the Makefile's scripts share: where things are. To be sourced.
# shellcheck shell=bash disable=SC2034 # what is not used here is used where this is sourced

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHAOS_CACHE=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
# What is compiled survives a fresh checkout, so that a second run is quick.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CHAOS_CACHE/target}
export CHAOS_CACHE CARGO_TARGET_DIR
PATH=$HOME/.cargo/bin:$HOME/.local/bin:/usr/local/go/bin:$PATH:/usr/sbin:/sbin
demo=${CHAOS_DEMO:-$CHAOS_CACHE/demo}
TOOL_NAMES=(chaos-health chaos-backup-check chaos-notify chaos-inject chaos-verify chaos-report)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

began=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - began)) >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# end_trees PID…: ends these processes and all that they started.
end_trees() {
  local process children
  for process in "$@"; do
    children=$(cat "/proc/$process/task/$process/children" 2>/dev/null) || true
    # shellcheck disable=SC2086 # numbers
    end_trees $children
    kill "$process" 2>/dev/null || true
  done
}

# packed FOLDER: a tar archive of what is in it, which tells nothing of who made it, where and when.
packed() {
  chmod -R u+rwX,go+rX,go-w "$1"
  LC_ALL=C tar -C "$1" --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - .
}

# cluster: a cluster with the shop in it, whole; sets KUBECONFIG. With CONTEXT, that of the user's own
# kubeconfig; otherwise the throw-away one, and never another.
cluster() {
  if [ -n "${CONTEXT:-}" ]; then
    export CONTEXT
    "$root/tests/shop/up.sh"
    # From here on no other cluster can be meant.
    local kubectl
    kubectl=$(command -v "$CHAOS_CACHE/bin/kubectl" || command -v kubectl)
    mkdir -p "$demo"
    (umask 077 && "$kubectl" config view --raw --minify --flatten --context "$CONTEXT" >"$demo/kubeconfig")
    KUBECONFIG=$demo/kubeconfig
  else
    KUBECONFIG=$("$root/tests/cluster/up.sh")
    export KUBECONFIG
    "$root/tests/shop/up.sh"
  fi
  export KUBECONFIG
}

# shop_config DIR: the runbook's configuration, with the values that differ here: backups, archive and
# receivers in DIR. The node is this whole machine, which may have compiled a moment ago, and is smaller than a real one.
shop_config() {
  sed -e 's|"/backup/|"backup/|' -e 's|"/tmp/experiment-reports"|"reports"|' -e 's|^port = 25 |port = 2525 |' \
    -e 's|^node_cpu_percent = 90.0|node_cpu_percent = 110.0|' \
    -e 's|^image = "stress:latest"|image = "chaos.test/shop:1"|' -e 's|^command = \[\] |command = ["stress"] |' \
    -e 's|^cpu_workers = 4|cpu_workers = 1|; s|^memory_mib = 256|memory_mib = 32|' \
    -e 's|^cpu_request = "2"|cpu_request = "200m"|; s|^cpu_limit = "4"|cpu_limit = "500m"|' \
    -e 's|^memory_request = "2Gi"|memory_request = "64Mi"|; s|^memory_limit = "4Gi"|memory_limit = "256Mi"|' \
    "$root/scripts/ecommerce.toml" >"$1/chaos.toml"
}
# The webhooks' addresses are secrets for real users, so they come by the environment here too.
shop_secrets() {
  export SLACK_WEBHOOK_URL=http://127.0.0.1:${HOOK_PORT:-8025}/slack/T0DEMO
  export STATUS_PAGE_API_URL=http://127.0.0.1:${HOOK_PORT:-8025}/status-page
}
