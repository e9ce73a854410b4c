# What the cluster's scripts share: where things are, and how its processes are known. To be sourced.
# shellcheck shell=bash disable=SC2034 # what is not used here is used where this is sourced

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
STATE=$(realpath -m "${STATE:-$CACHE/cluster}")
NODE_IP=${NODE_IP:-10.89.0.1}
HOST_IP=${HOST_IP:-10.89.0.2}
HOST_IF=${HOST_IF:-chaos-host}
CGROUP=${CGROUP:-chaos-test}
KUBE=$CACHE/bin/kube
KUBECTL=$CACHE/bin/kubectl
export KUBECACHEDIR=$CACHE/kubectl # not in the user's ~/.kube
export CACHE STATE NODE_IP HOST_IP HOST_IF CGROUP KUBE KUBECTL

started=${EPOCHREALTIME/./}
elapsed() { # the seconds since the script began, as 12.3
  local now=${EPOCHREALTIME/./}
  printf '%d.%d' $(((now - started) / 1000000)) $(((now - started) / 100000 % 10))
}
say() { printf '%6s s  %s\n' "$(elapsed)" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# digest FILE…: one value for the names and contents of all files given, and of standard input.
digest() { { cat; sha256sum "$@"; } | sha256sum | cut -d' ' -f1; }

# Every process of the node is in a cgroup of its own, and so are its pods: membership tells ours from
# others, whatever became of the process that started them. One hierarchy is enough to count them.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  hierarchies=(/sys/fs/cgroup)
  members=/sys/fs/cgroup/$CGROUP
else
  hierarchies=()
  for hierarchy in /sys/fs/cgroup/*/; do
    [ -L "${hierarchy%/}" ] || hierarchies+=("${hierarchy%/}") # cpu and cpuacct may be names of one folder
  done
  members=/sys/fs/cgroup/pids/$CGROUP
fi
our_processes() {
  [ -d "$members" ] || return 0
  find "$members" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}
# pid_of NAME: the process, as the host numbers it, of one component.
pid_of() {
  local pid argv
  for pid in $(our_processes); do
    mapfile -d '' -t argv 2>/dev/null <"/proc/$pid/cmdline" || continue
    case "${argv[0]:-} ${argv[1]:-}" in
      "$KUBE $1" | "$1 "* | */"$1 "*) echo "$pid"; return 0 ;;
    esac
  done
  return 1
}

# The node's first process is recorded with its start time and the boot, so that a pid used again is not taken for it.
identity() { # PID
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) } # the name, which may hold spaces, is over; the start time is field 22 of all
  # shellcheck disable=SC2086
  set -- "$1" $stat
  echo "$1 ${21} $(cat /proc/sys/kernel/random/boot_id)"
}
init_pid() { # prints the first process's pid if it lives
  local recorded
  recorded=$(cat "$STATE/init" 2>/dev/null) && [ "$(identity "${recorded%% *}")" = "$recorded" ] && echo "${recorded%% *}"
}

api() { # PATH: a GET as the admin, without the start-up time of kubectl
  curl -sf --max-time 2 --cacert "$STATE/pki/ca.crt" --cert "$STATE/pki/admin.crt" --key "$STATE/pki/admin.key" "https://$NODE_IP:6443$1"
}
# healthy: the first process lives (it ends when any component does), and the API server knows a Ready node.
healthy() {
  init_pid >/dev/null && [ -e "$STATE/ready" ] && api /readyz >/dev/null &&
    api /api/v1/nodes/node1 | grep -A6 -E '"(lastTransitionTime|type)"' | tr -d '\n' | grep -qE '"type": "Ready",\s*"status": "True"'
}

# inputs: what the running cluster was made of; when it differs, up.sh makes a new one.
inputs() {
  printf '%s\n' "$NODE_IP $HOST_IP $HOST_IF $CGROUP" | digest "$here"/{lib,up,node}.sh "$CACHE/bin/kube.stamp"
}

# Serialize what changes the cluster. The lock ends with the script; long-lived children must close it (9>&-).
lock() {
  mkdir -p "${STATE%/*}"
  exec 9>"$STATE.lock"
  flock --nonblock 9 || { say "waiting for another up.sh or down.sh"; flock 9; }
}

# remove: end every process of the node, then take away its interface, its cgroups and its state.
remove() {
  local pid hierarchy tries
  for ((tries = 0; tries < 100; tries++)); do
    # shellcheck disable=SC2046
    kill -9 $(our_processes) 2>/dev/null || true
    [ -n "$(our_processes)" ] || break
    sleep 0.05
  done
  pid=$(our_processes)
  [ -z "$pid" ] || die "these processes of the cluster would not end: ${pid//$'\n'/ }"
  for hierarchy in "${hierarchies[@]}"; do
    [ ! -d "$hierarchy/$CGROUP" ] || find "$hierarchy/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  # The interface goes with the network namespace of its other end, a moment after the last process.
  for ((tries = 0; tries < 20; tries++)); do
    [ -e "/sys/class/net/$HOST_IF" ] || break
    sleep 0.05
  done
  ip link delete "$HOST_IF" 2>/dev/null || true
  for ((tries = 0; tries < 20; tries++)); do
    rm -rf "$STATE" 2>/dev/null && break
    sleep 0.1
  done
  [ ! -e "$STATE" ] || die "could not remove $STATE"
}
