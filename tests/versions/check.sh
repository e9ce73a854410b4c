#!/usr/bin/env bash
# What the tools write and read, held against one API server: health, the plan of each experiment, runs, kills, undo. There
# are no containers: pods are simulated, so what must be executed in one can't be proven here, and must be said.
# usage: check.sh FOLDER-OF-KEYS PORT FOLDER-OF-TOOLS CONTROL   (run by scripts/versions.sh; KUBECONFIG names the API server)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
keys=$1 port=$2 control=$4
PATH=$3:$CHAOS_CACHE/bin:$PATH
place=$keys/place
mkdir -p "$place/home"
cd "$place"
export HOME=$place/home
kubectl() { "$CHAOS_CACHE/bin/kubectl" -n shop "$@"; }
"$control" kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address 127.0.0.1 --secure-port 0 --pvclaimbinder-sync-period 1s \
  --controllers '*,-node-lifecycle-controller' --service-account-private-key-file "$keys/sa.key" >"$keys/controllers.log" 2>&1 &
controllers=$!
kubectl create namespace shop >/dev/null
python3 "$root/tests/versions/node.py" "$keys" "$port" shop >"$keys/node.log" 2>&1 &
node=$!
# shellcheck disable=SC2064 # these are known now
trap "kill $controllers $node 2>/dev/null || true" EXIT

deployment() { # NAME REPLICAS [VOLUMES]
  cat <<END
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: chaos.test/none:1, ports: [{containerPort: 8080}], resources: {limits: {memory: 64Mi}}}]
      volumes: [${3:-}]
END
}
{
  deployment web 3
  deployment database 1 '{name: data, persistentVolumeClaim: {claimName: data}}'
  cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: data}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: none, hostPath: {path: /data}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
END
  printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n'
} | kubectl apply -f - >/dev/null
for name in web database; do kubectl rollout status "deployment/$name" --timeout=120s >/dev/null; done
kubectl wait --for 'jsonpath={.status.phase}=Bound' persistentvolumeclaim/data --timeout=60s >/dev/null
cat >chaos.toml <<'END'
[application]
namespace = "shop"
[health]
skip = ["pods.usage", "node.usage"]
[limits]
namespaces = ["shop"]
[experiment]
warm_up = "1s"
settle = "1s"
[experiment.network_partition]
workload = "deployment/web"
peer = "deployment/database"
END

passed=0 failed=0
good() { passed=$((passed + 1)) && printf '  ok      %s\n' "$*"; }
bad() {
  failed=$((failed + 1))
  printf '  FAILED  %s\n' "$*"
  tail -n 1 ./*.stderr
}
# holds WORDS COMMAND…: counts whether it does.
holds() {
  local words=$1
  shift
  if "$@"; then good "$words"; else bad "$words"; fi
}
# last KEY FILE: of the last record of a stream.
last() { tail -n 1 "$2" | jq -r "$1"; }
size() { kubectl get deployment "$1" -o 'jsonpath={.spec.replicas}'; }
# Nothing of the tools' is in the cluster.
clean() {
  local all
  all=$(kubectl get deployments,networkpolicies,jobs,leases,configmaps,secrets,pods -o json)
  [ "$(size web) $(size database)" = "3 1" ] && ! grep -q chaos- <<<"$all"
}
is() { [ "$1" = "$2" ] || { echo "    $1, and not $2" && return 1; }; }
in_time() { # COMMAND…: within a minute
  for ((tries = 0; tries < 300; tries++)); do
    "$@" && return
    sleep 0.2
  done
  return 1
}

chaos-health -o json >health.ndjson 2>health.stderr || true
holds "health passes" is "$(last .verdict health.ndjson)" pass
for experiment in "pod-failure --workload deployment/web" "scale-down --workload deployment/web" network-partition \
  resource-exhaustion "storage-failure --workload deployment/database" "dns-failure --workload deployment/web"; do
  # shellcheck disable=SC2086 # words
  chaos-inject plan $experiment -o json <health.ndjson >plan.ndjson 2>plan.stderr || true
  holds "the plan of ${experiment%% *}: its rights and its writes are known" \
    is "$(last '[.schema, (.data.checks[] | select(.id == ("limit.permissions", "limit.admission")) | .status)] | unique | join(" ")' plan.ndjson)" \
    "chaos.plan/1 pass"
done
run() { # EXPERIMENT…
  # shellcheck disable=SC2086 # words
  chaos-inject run $1 --yes -o json <health.ndjson >run.ndjson 2>run.stderr || true
}
for experiment in "pod-failure --workload deployment/web" "scale-down --workload deployment/web --duration 2s" \
  "storage-failure --workload deployment/database --duration 2s --override=gate.backup=nothing-to-back-up"; do
  run "$experiment"
  holds "a run of ${experiment%% *} is completed" is "$(last .data.outcome run.ndjson)" completed
  holds "nothing is left of ${experiment%% *}" in_time clean
done
for experiment in "network-partition --duration 2s" resource-exhaustion; do
  run "$experiment"
  holds "a run of $experiment, of which nothing can be proven here, does not pass" test "$(last .verdict run.ndjson)" != pass
  holds "nothing is left of $experiment" in_time clean
done

broken() { [ "$(size web)" != 3 ]; }
start() {
  kubectl rollout status deployment/web --timeout=60s >/dev/null
  chaos-inject run scale-down --workload deployment/web --duration 5m --yes -o json <health.ndjson >killed.ndjson 2>killed.stderr &
  tool=$!
  disown $tool # that it is killed is no news
  in_time broken || { echo "nothing was injected: $(cat killed.stderr)" && exit 1; }
}
# kill_both: the tool and its guardian, so that nobody is left to undo the fault.
kill_both() {
  local guardian
  guardian=$(pgrep -P $tool) || { echo "the run has no guardian" && exit 1; }
  # shellcheck disable=SC2086 # a number each
  kill -9 $tool $guardian
  sleep 1
  broken || { echo "the fault is gone, though nobody was there to undo it" && exit 1; }
}
start
kill -9 $tool
holds "the guardian of a killed run takes the fault back" in_time clean
start
kill_both
chaos-inject recover -o json >recover.ndjson 2>recover.stderr || true
holds "recover takes back what tool and guardian left" in_time clean
chaos-inject watch >watch.ndjson 2>watch.stderr &
watcher=$!
on_watch() { kubectl get leases -o name | grep -q chaos-watch; }
in_time on_watch
start
kill_both
mended() { ! broken; }
holds "a watcher takes back what tool and guardian left" in_time mended
kill $watcher
wait $watcher || true
holds "nothing is left at the end" in_time clean
echo "$passed passed, $failed failed"
[ $failed = 0 ]
