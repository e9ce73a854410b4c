#!/usr/bin/env bash
# Say whether the throw-away cluster is up: 0 and a line when it is, 1 when not.
# usage: status.sh [--pid COMPONENT]   with --pid, print the process of one component (kube-apiserver, etcd, kubelet, containerd, …)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  --pid) pid_of "${2:?--pid wants a component, such as kube-apiserver}" || die "no process $2 in the cluster" ;;
  "")
    if healthy; then
      echo "up: context chaos-test in $STATE/admin.kubeconfig"
    elif init_pid >/dev/null; then
      echo "not up: it is starting, or the API server does not answer; see $STATE/up.log"
      exit 1
    else
      echo "not up"
      exit 1
    fi
    ;;
  *) die "usage: status.sh [--pid COMPONENT]" ;;
esac
