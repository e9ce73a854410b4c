#!/usr/bin/env bash
# Bring the shop up in a cluster, or repair it, and wait until it is whole: pods ready, data there, metrics and monitoring quiet.
#   KUBECONFIG, CONTEXT  which cluster (default: the throw-away one)
#   SHOP_IMAGE           the image's name there (default chaos.test/shop:1, which is loaded into the throw-away cluster and kind)
#   SHOP_TIMEOUT         seconds to wait (default 120)
#   SHOP_NAMESPACE, SHOP_MONITORING  namespaces of another copy of it (default ecommerce-production and monitoring)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

k get --raw /readyz >/dev/null || die "the cluster of context $context does not answer"
stamp=$SHOP_IMAGE
volume=
if ours; then
  state=${KUBECONFIG%/*}
  volume=$state/volumes/$volume_name
  "$shop/build.sh"
  stamp=$(cut -c1-12 "$CACHE/images/shop.stamp")
  exec 9>"$state/images/lock"
  flock 9
  if ! cmp -s "$CACHE/images/shop.stamp" "$state/images/shop.stamp"; then
    ctr -a "$state/containerd.sock" -n k8s.io images import "$CACHE/images/shop.tar" >/dev/null
    cp "$CACHE/images/shop.stamp" "$state/images/shop.stamp"
    say "image loaded"
  fi
  exec 9>&-
elif [[ $context = kind-* && $SHOP_IMAGE = chaos.test/shop:1 ]]; then
  "$shop/build.sh"
  stamp=$(cut -c1-12 "$CACHE/images/shop.stamp")
  kind load image-archive "$CACHE/images/shop.tar" --name "${context#kind-}"
  say "image loaded"
fi

manifests() {
  local file
  for file in ${volume:+volume} shop monitoring; do
    echo ---
    sed -e "s|@IMAGE@|$SHOP_IMAGE|; s|@STAMP@|$stamp|; s|@VOLUME@|$volume|; s|@VOLUME-NAME@|$volume_name|" \
      -e "s|@APP@|$APP|; s|@MON@|$MON|" "$shop/manifests/$file.yaml"
  done | if [ -n "$volume" ]; then cat; else sed '/storageClassName: chaos-local/d'; fi
}
if ! k -n "$APP" get secret ecommerce-database-credentials >/dev/null 2>&1; then
  {
    printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n' "$APP"
    printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: ecommerce-database-credentials, namespace: %s}\nstringData: {username: ecommerce, password: "%s"}\n' \
      "$APP" "$(openssl rand -hex 16)"
  } | k apply --validate=false --openapi-patch=false -f - >/dev/null
fi
manifests | k apply --validate=false --openapi-patch=false -f - >/dev/null
# What an experiment may have left: the shop itself has no policies, and no pods but its workloads'.
k -n "$APP" delete networkpolicies --all >/dev/null
for namespace in "$APP" "$MON"; do
  k -n "$namespace" delete leases -l chaos-runbook/run >/dev/null
  k -n "$namespace" label deployments --all chaos-runbook/run- >/dev/null
done
k -n "$APP" get pods -o json | jq -r '.items[] | select(.metadata.ownerReferences | not) | .metadata.name' |
  xargs -r "$kubectl" ${CONTEXT:+--context "$CONTEXT"} -n "$APP" delete pod --grace-period=1 >/dev/null
say "applied"
# What the image took to build does not count.
deadline=$((SECONDS + ${SHOP_TIMEOUT:-120}))

explain() {
  {
    echo "the shop did not get whole within ${SHOP_TIMEOUT:-120} s: $*"
    k get pods -n "$APP" -o wide
    k get pods -n "$MON" -o wide
    k get events -A --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 8
  } >&2
  exit 1
}
wait_for() { # WHAT COMMAND…
  local what=$1
  shift
  until "$@"; do
    ((SECONDS < deadline)) || explain "$what"
    sleep 0.3
  done
}
# whole: every deployment runs what was asked for and nothing else, and no pod is on its way out.
whole() {
  k get deployments,pods -A -o json | jq -e --arg app "$APP" --arg mon "$MON" '
    [.items[] | select(.metadata.namespace == $app or .metadata.namespace == $mon)] as $all
    | ([$all[] | select(.kind == "Deployment")] | length == 6 and all(.status.observedGeneration == .metadata.generation
        and .status.replicas == .spec.replicas and .status.updatedReplicas == .spec.replicas and .status.readyReplicas == .spec.replicas))
      and all($all[]; .metadata.deletionTimestamp == null)' >/dev/null
}
wait_for "not every pod is ready" whole
say "every pod ready, the database filled"
pod_metrics() { [ "$(measured "$APP")" = 6 ]; }
if k get apiservice v1beta1.metrics.k8s.io >/dev/null 2>&1; then
  wait_for "no metrics for the pods" pod_metrics
  say "metrics for every pod"
else
  say "this cluster has no metrics API: kubectl top will not answer"
fi
prometheus() { k get --raw "/api/v1/namespaces/$MON/services/prometheus-service:http/proxy/api/v1/$1" 2>/dev/null; }
quiet() {
  [ "$(prometheus 'query?query=sum(up)' | jq -r '.data.result[0].value[1]')" = 6 ] &&
    prometheus alerts | jq -e '.data.alerts == []' >/dev/null
}
wait_for "monitoring does not see all of the shop, or an alert stays" quiet
say "monitoring sees all of it, and no alert"
