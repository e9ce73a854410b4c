#!/usr/bin/env bash
# Bring acme up in the throw-away cluster, or repair it, and wait until it is whole. KUBECONFIG and CONTEXT as in tests/shop.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../shop/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../shop/lib.sh"
acme=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ACME_IMAGE=chaos.test/acme:1

k get --raw /readyz >/dev/null || die "the cluster of context $context does not answer"
ours || die "acme is made for the throw-away cluster; the context is $context"
state=${KUBECONFIG%/*}
volume=$state/volumes/acme-database
"$shop/build.sh"
"$acme/build.sh"
exec 9>"$state/images/lock"
flock 9
for image in shop acme; do
  cmp -s "$CACHE/images/$image.stamp" "$state/images/$image.stamp" && continue
  ctr -a "$state/containerd.sock" -n k8s.io images import "$CACHE/images/$image.tar" >/dev/null
  cp "$CACHE/images/$image.stamp" "$state/images/$image.stamp"
  say "image $image loaded"
done
exec 9>&-
# The kubelet makes no folder that somebody else may write into.
mkdir -p "$volume"
chown 65534:65534 "$volume"

secrets() {
  local password hash
  password=$(openssl rand -hex 16)
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: acme, labels: {pod-security.kubernetes.io/enforce: restricted}}\n---\n'
  printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: acme-postgresql, namespace: acme}\nstringData: {password: "%s"}\n---\n' \
    "$(openssl rand -hex 16)"
  # Debian's C library makes the kind of hash that Prometheus wants.
  hash=$(perl -e 'print crypt($ARGV[0], "\$2b\$05\$" . $ARGV[1])' "$password" "$(openssl rand -hex 11)")
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: observability}\n---\n'
  printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: kps-basic-auth, namespace: observability}\n'
  printf 'stringData: {user: chaos, password: "%s", web.yml: "basic_auth_users: {chaos: '"'%s'"'}"}\n' "$password" "$hash"
}
manifests() {
  local file
  for file in volume acme monitoring fleet; do
    echo ---
    sed -e "s|@SHOP-IMAGE@|$SHOP_IMAGE|; s|@ACME-IMAGE@|$ACME_IMAGE|; s|@VOLUME@|$volume|" "$acme/manifests/$file.yaml"
  done
}
apply() { k apply --validate=false --openapi-patch=false -f - >/dev/null; }
k -n observability get secret kps-basic-auth >/dev/null 2>&1 || secrets | apply
k apply --validate=false --openapi-patch=false -f "$acme/manifests/kind.yaml" >/dev/null
k wait --for=condition=Established customresourcedefinition/fleets.acme.example.com --timeout=60s >/dev/null
manifests | apply
say "applied"
deadline=$((SECONDS + ${ACME_TIMEOUT:-180}))
whole() {
  k get deployments,statefulsets -A -o json | jq -e '
    [.items[] | select(.metadata.namespace == "acme" or .metadata.namespace == "observability")]
    | length == 7 and all(.status.observedGeneration == .metadata.generation and .status.updatedReplicas == .spec.replicas
        and .status.readyReplicas == .spec.replicas)' >/dev/null &&
    k -n acme get replicasets acme-workers-1 -o json | jq -e '.status.readyReplicas == 3' >/dev/null
}
ask() { # PATH: of Prometheus, which wants a password that the API server's proxy does not pass on.
  local prometheus=http://127.0.0.1:9090/prometheus/api/v1 password
  password=$(k -n observability get secret kps-basic-auth -o 'jsonpath={.data.password}' | base64 -d)
  k -n observability exec prometheus-kps-kube-prometheus-stack-prometheus-0 -- \
    curl -fsS -m 5 -u "chaos:$password" "$prometheus/$1" 2>/dev/null
}
seen() { # Prometheus scrapes both pods of both, and no alert of acme fires.
  [ "$(ask 'query?query=sum(up)' | jq -r '.data.result[0].value[1]')" = 4 ] &&
    ask alerts | jq -e '[.data.alerts[] | select(.labels.namespace == "acme")] == []' >/dev/null
}
pod_metrics() { # of every pod: they come some seconds after it.
  [ "$(measured acme)" = "$(k -n acme get pods --field-selector=status.phase=Running -o name | wc -l)" ]
}
until whole && seen && pod_metrics; do
  if ((SECONDS > deadline)); then
    k get pods -n acme -o wide >&2
    k get pods -n observability -o wide >&2
    k get events -A --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 8 >&2
    die "acme did not get whole in time"
  fi
  sleep 0.5
done
say "every pod ready, and monitoring and the metrics API see them"
