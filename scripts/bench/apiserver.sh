#!/usr/bin/env bash
# An API server and its etcd, and nothing else of a cluster: no controllers, no nodes. Objects stay as they are written.
# usage: apiserver.sh FOLDER PORT COMMAND…   runs COMMAND with $KUBECONFIG and ends both after it
#   KUBE_APISERVER   the program, of another version (default: the test cluster's)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
folder=$1 port=$2
shift 2
kube=$CHAOS_CACHE/bin/kube
[ -x "$kube" ] || die "no $kube here; tests/cluster/build.sh makes it"
mkdir -p "$folder"
cd "$folder"
new_key=(-nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256)
openssl req -x509 "${new_key[@]}" -keyout ca.key -out ca.crt -days 30 -subj /CN=scale-ca 2>/dev/null
certificate() { # NAME SUBJECT
  openssl req "${new_key[@]}" -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=clientAuth,serverAuth\n') 2>/dev/null
}
certificate server /CN=kube-apiserver
certificate admin /O=system:masters/CN=admin
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sa.key
openssl pkey -in sa.key -pubout -out sa.pub
inline() { base64 -w0 "$1"; }
cat >kubeconfig <<C
apiVersion: v1
kind: Config
clusters: [{name: scale, cluster: {server: "https://127.0.0.1:$port", certificate-authority-data: $(inline ca.crt)}}]
users: [{name: admin, user: {client-certificate-data: $(inline admin.crt), client-key-data: $(inline admin.key)}}]
contexts: [{name: scale, context: {cluster: scale, user: admin}}]
current-context: scale
C
"$kube" etcd --data-dir etcd --unsafe-no-fsync --quota-backend-bytes 4294967296 \
  --listen-client-urls "http://127.0.0.1:$((port + 1))" --advertise-client-urls "http://127.0.0.1:$((port + 1))" \
  --listen-peer-urls "http://127.0.0.1:$((port + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((port + 2))" \
  --initial-cluster "default=http://127.0.0.1:$((port + 2))" >etcd.log 2>&1 &
etcd=$!
"${KUBE_APISERVER:-$kube}" kube-apiserver --etcd-servers "http://127.0.0.1:$((port + 1))" --secure-port "$port" --bind-address 127.0.0.1 \
  --tls-cert-file server.crt --tls-private-key-file server.key --client-ca-file ca.crt \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file sa.pub --service-account-signing-key-file sa.key \
  --service-cluster-ip-range 10.96.0.0/12 --authorization-mode RBAC --disable-admission-plugins ServiceAccount >apiserver.log 2>&1 &
server=$!
# Asked to end, the server waits for a store that is gone.
trap 'kill -KILL $server $etcd 2>/dev/null; wait 2>/dev/null' EXIT
for ((tries = 0; tries < 600; tries++)); do
  kill -0 $server 2>/dev/null || die "the API server ended: $(tail -n 3 "$folder/apiserver.log")"
  if curl -sf --max-time 2 --cacert ca.crt --cert admin.crt --key admin.key "https://127.0.0.1:$port/readyz" >/dev/null; then break; fi
  sleep 0.2
done
export KUBECONFIG=$folder/kubeconfig
cd "$root"
"$@"
