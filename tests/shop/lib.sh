# What the shop's scripts share: which cluster, and how to ask it. To be sourced.
# shellcheck shell=bash disable=SC2034 # what is not used here is used where this is sourced

shop=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CHAOS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chaos-runbook}
SHOP_IMAGE=${SHOP_IMAGE:-chaos.test/shop:1}
export KUBECACHEDIR=$CACHE/kubectl # not in the user's ~/.kube
# The namespaces of a copy of the shop; the runbook's unless others are named.
APP=${SHOP_NAMESPACE:-ecommerce-production}
MON=${SHOP_MONITORING:-monitoring}
volume_name=$APP-database
# The throw-away cluster, unless a configuration or a context is named.
if [ -z "${KUBECONFIG:-}" ] && [ -z "${CONTEXT:-}" ]; then
  KUBECONFIG=${STATE:-$CACHE/cluster}/admin.kubeconfig
fi
[ -z "${KUBECONFIG:-}" ] || export KUBECONFIG
kubectl=$(command -v "$CACHE/bin/kubectl" || command -v kubectl) || { echo "${0##*/}: no kubectl; tests/cluster/build.sh makes one" >&2; exit 1; }
k() { "$kubectl" ${CONTEXT:+--context "$CONTEXT"} "$@"; }

started=${EPOCHREALTIME/./}
say() {
  local now=${EPOCHREALTIME/./}
  printf '%4d.%d s  %s\n' $(((now - started) / 1000000)) $(((now - started) / 100000 % 10)) "$*" >&2
}
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

context=${CONTEXT:-$(k config current-context 2>/dev/null)} || die "no cluster: KUBECONFIG is ${KUBECONFIG:-not set}; start the throw-away one with tests/cluster/up.sh"
# measured NAMESPACE: of how many pods there the metrics API has figures.
measured() { k get --raw "/apis/metrics.k8s.io/v1beta1/namespaces/$1/pods" 2>/dev/null | jq '.items | length'; }
# ours: the throw-away cluster, whose runtime and volumes are folders beside its kubeconfig.
ours() { [ "$context" = chaos-test ] && [ -S "${KUBECONFIG%/*}/containerd.sock" ]; }
