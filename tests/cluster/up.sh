#!/usr/bin/env bash
# Start the throw-away cluster, or reuse the one that runs, and print the path of its admin kubeconfig.
# Everything of it lives in network, mount and process namespaces of its own, so ending it leaves nothing behind.
# Knobs (environment): CHAOS_CACHE, STATE, NODE_IP, HOST_IP, HOST_IF, CGROUP; see README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for program in containerd runc nft iptables conntrack ip unshare nsenter openssl curl; do
  type -P "$program" >/dev/null || die "no $program here; scripts/setup.sh gets it"
done
[ "$(id -u)" = 0 ] || die "the cluster needs root (namespaces, cgroups, a network of its own); try: sudo -E $0"
lock
if [ "$(cat "$STATE/inputs" 2>/dev/null)" = "$(inputs 2>/dev/null)" ] && healthy; then
  say "the cluster is up already"
  echo "$STATE/admin.kubeconfig"
  exit 0
fi
"$here/build.sh" 9>&-
if [ -e "$STATE" ] || [ -d "$members" ] || [ -e "/sys/class/net/$HOST_IF" ]; then
  say "removing what is left of an earlier cluster"
  remove
fi
mkdir -p "$STATE"
inputs >"$STATE/inputs"
modprobe -qa br_netfilter overlay nf_conntrack 2>/dev/null || true # built in, or loaded by the first user, elsewhere

for hierarchy in "${hierarchies[@]}"; do
  mkdir -p "$hierarchy/$CGROUP/node"
  for limit in cpuset.cpus cpuset.mems; do
    for group in "$CGROUP" "$CGROUP/node"; do
      [ ! -e "$hierarchy/$limit" ] || cat "$hierarchy/$limit" >"$hierarchy/$group/$limit"
    done
  done
  # All of the cluster would else weigh as much as one process beside it, and stand still on a machine that compiles.
  [ ! -e "$hierarchy/$CGROUP/cpu.shares" ] || echo 16384 >"$hierarchy/$CGROUP/cpu.shares"
  [ ! -e "$hierarchy/$CGROUP/node/cpu.shares" ] || echo 4096 >"$hierarchy/$CGROUP/node/cpu.shares"
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then # version 2: what the pods' limits need is handed down
  for group in . "$CGROUP"; do
    sed 's/^/+/; s/ / +/g' /sys/fs/cgroup/cgroup.controllers >"/sys/fs/cgroup/$group/cgroup.subtree_control"
  done
  echo 1600 >"$members/cpu.weight"
  echo 400 >"$members/node/cpu.weight"
fi

# The shell that becomes `unshare` joins the node's cgroup first, so that nothing it starts can be lost.
(
  echo "$BASHPID" >"$members/node/cgroup.procs"
  exec unshare --net --mount --pid --fork --mount-proc --propagation private "$here/node.sh"
) >"$STATE/up.log" 2>&1 9>&- </dev/null &
unshare=$!
disown "$unshare"
until init=$(tr -d ' ' 2>/dev/null <"/proc/$unshare/task/$unshare/children") && [ -n "$init" ]; do
  kill -0 "$unshare" 2>/dev/null || die "no namespaces to be had: $(cat "$STATE/up.log")"
  sleep 0.02
done
identity "$init" >"$STATE/init"
ip link add "$HOST_IF" type veth peer name chaos-node netns "$init"
ip addr add "$HOST_IP/30" dev "$HOST_IF"
ip link set "$HOST_IF" up
# shellcheck disable=SC2016 # for the inner shell
nsenter --target "$init" --net sh -ec '
  ip link set lo up
  ip addr add "$1/30" dev chaos-node
  ip link set chaos-node up
  ip route add default via "$2"' sh "$NODE_IP" "$HOST_IP"
touch "$STATE/network"

told=0
tell() { # pass on what node.sh reports
  local line
  while IFS= read -r line; do
    told=$((told + 1))
    say "$line"
  done < <(tail -n +$((told + 1)) "$STATE/phases" 2>/dev/null)
}
for ((tries = 0; tries < 1200; tries++)); do
  tell
  if [ -e "$STATE/ready" ]; then
    echo "$STATE/admin.kubeconfig"
    exit 0
  fi
  init_pid >/dev/null || break
  sleep 0.1
done
{
  echo "the cluster did not come up; what its parts said last ($STATE/up.log, $STATE/logs):"
  tail -n 5 "$STATE/up.log" "$STATE"/logs/*.log
} >&2
exit 1
