#!/usr/bin/env bash
# The node: everything that up.sh starts inside the namespaces. This shell is their first process; it ends,
# and with it everything, when any component does. So the cluster is whole or gone.
set -euo pipefail
NODE=node1 SERVICE_CIDR=10.96.0.0/16 POD_CIDR=10.244.0.0/16 DNS_IP=10.96.0.10
cd "$STATE"
mkdir -p pki logs etcd kubelet cni containerd images volumes pods
# All of these are Go programs. On this small cluster memory is cheaper than what the collector takes of the processors.
export GOGC=400
phase() { echo "$*" >>phases; }
declare -A components # by process
start() { # NAME COMMAND…  in the background, with a log
  local name=$1
  shift
  "$@" >"logs/$name.log" 2>&1 &
  components[$!]=$name
}
wait_for() { # SECONDS COMMAND…
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "gave up waiting for: $*" >&2; exit 1; }
    sleep 0.1
  done
}

# What would be written outside of the state goes to memory, which goes with the namespace.
for folder in /run /var/lib/cni /var/lib/kubelet /var/log/containers; do
  mkdir -p "$folder"
  mount -t tmpfs tmpfs "$folder"
done

# Images and containers are in memory too: quick to load, and nothing to delete in the end.
mount -t tmpfs -o size=4g tmpfs containerd

# Runtime: containerd and runc with the bridge CNI plugin. It loads the images while the control plane starts.
cat >cni/10-bridge.conflist <<C
{"cniVersion":"0.4.0","name":"test","plugins":[
 {"type":"bridge","bridge":"chaos0","isGateway":true,"ipMasq":true,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$STATE/cni/ipam"}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
C
cat >containerd/config.toml <<C
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/run"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "chaos.test/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
C
start containerd containerd --config containerd/config.toml
load_images() { # and note which they were, for who changes them later
  local archive
  wait_for 30 ctr -a containerd.sock version
  cp "$CACHE"/images/*.stamp images/ 2>/dev/null || true
  for archive in "$CACHE"/images/*.tar; do
    ctr -a containerd.sock -n k8s.io images import "$archive"
  done
}
load_images >logs/images.log 2>&1 &
images=$!

# Keys: one CA signs the servers' and every component's certificate.
umask 077
new_key=(-nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256)
openssl req -x509 "${new_key[@]}" -keyout pki/ca.key -out pki/ca.crt -days 3650 -subj /CN=chaos-test-ca 2>/dev/null
certificate() { # NAME SUBJECT SUBJECT-ALT-NAMES
  openssl req "${new_key[@]}" -keyout "pki/$1.key" -out "pki/$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 3650 -out "pki/$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=clientAuth,serverAuth\n' "$3") 2>/dev/null
  rm "pki/$1.csr"
}
certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$NODE_IP"
certificate admin /O=system:masters/CN=admin DNS:admin
certificate addons /O=system:masters/CN=system:addons DNS:addons
certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:127.0.0.1,IP:$NODE_IP"
certificate controllers /CN=system:kube-controller-manager DNS:controllers
certificate scheduler /CN=system:kube-scheduler DNS:scheduler
certificate proxy /CN=system:kube-proxy DNS:proxy
certificate front /CN=front-proxy DNS:front
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out pki/sa.key
openssl pkey -in pki/sa.key -pubout -out pki/sa.pub
inline() { base64 -w0 "pki/$1"; }
for user in admin addons kubelet controllers scheduler proxy; do
  cat >"$user.kubeconfig" <<C
apiVersion: v1
kind: Config
clusters: [{name: chaos-test, cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(inline ca.crt)}}]
users: [{name: $user, user: {client-certificate-data: $(inline "$user.crt"), client-key-data: $(inline "$user.key")}}]
contexts: [{name: chaos-test, context: {cluster: chaos-test, user: $user}}]
current-context: chaos-test
C
done
umask 022
# Everything that people and tests do is on record, as it happens; the cluster's own parts are not.
cat >audit.yaml <<'C'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
# When a pod became ready, and when it was an endpoint, to the microsecond: objects themselves hold whole seconds.
- level: Request
  userGroups: ["system:nodes"]
  verbs: [patch]
  resources: [{group: "", resources: [pods/status]}]
- level: Request
  users: ["system:serviceaccount:kube-system:endpointslice-controller"]
  verbs: [create, update]
  resources: [{group: discovery.k8s.io, resources: [endpointslices]}]
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
- level: None
  users: ["system:addons", "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:anonymous"]
- level: None
  nonResourceURLs: ["/livez*", "/readyz*", "/healthz*", "/version", "/openapi*", "/api", "/apis", "/apis/*"]
- level: Metadata
C
export KUBECONFIG=$STATE/addons.kubeconfig
wait_for 10 test -e network
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.bridge.bridge-nf-call-iptables=1
phase "keys made"

# Control plane.
start etcd "$KUBE" etcd --data-dir etcd --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
start kube-apiserver "$KUBE" kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address "$NODE_IP" --secure-port 6443 \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key \
  --service-cluster-ip-range $SERVICE_CIDR --authorization-mode Node,RBAC --allow-privileged \
  --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key --kubelet-preferred-address-types InternalIP \
  --requestheader-client-ca-file pki/ca.crt --requestheader-allowed-names front-proxy --requestheader-username-headers X-Remote-User \
  --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
  --proxy-client-cert-file pki/front.crt --proxy-client-key-file pki/front.key --enable-aggregator-routing \
  --audit-policy-file audit.yaml --audit-log-path logs/audit.log --audit-log-format json --audit-log-mode blocking --audit-log-maxsize 1000
wait_for 60 curl -sf --cacert pki/ca.crt --cert pki/addons.crt --key pki/addons.key "https://$NODE_IP:6443/readyz"
phase "API server ready"
start kube-controller-manager "$KUBE" kube-controller-manager --kubeconfig controllers.kubeconfig --leader-elect=false \
  --service-account-private-key-file pki/sa.key --root-ca-file pki/ca.crt --use-service-account-credentials \
  --allocate-node-cidrs --cluster-cidr $POD_CIDR --node-monitor-grace-period 20s --kube-api-qps 200 --kube-api-burst 400 \
  --flex-volume-plugin-dir "$STATE/kubelet/plugins"
start kube-scheduler "$KUBE" kube-scheduler --kubeconfig scheduler.kubeconfig --leader-elect=false

cat >kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $STATE/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
containerRuntimeEndpoint: unix://$STATE/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
enforceNodeAllocatable: []
failSwapOn: false
localStorageCapacityIsolation: false
podLogsDir: $STATE/pods
volumePluginDir: $STATE/kubelet/plugins
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
kubeAPIQPS: 200
kubeAPIBurst: 400
featureGates: {KubeletInUserNamespace: true}
C
wait "$images" || { cat logs/images.log >&2; exit 1; }
phase "images loaded"
start kubelet "$KUBE" kubelet --config kubelet.yaml --kubeconfig kubelet.kubeconfig --hostname-override $NODE --node-ip "$NODE_IP" \
  --root-dir "$STATE/kubelet" --cert-dir "$STATE/pki" --housekeeping-interval 2s
start kube-proxy "$KUBE" kube-proxy --kubeconfig proxy.kubeconfig --proxy-mode iptables --iptables-min-sync-period 100ms \
  --cluster-cidr $POD_CIDR --hostname-override $NODE --conntrack-max-per-core 0
start netpol "$KUBE" netpol "$KUBECONFIG"

# DNS and the metrics API run on the node itself, each behind a Service whose one endpoint is the node's address.
printf '.:53 {\n bind %s\n errors\n kubernetes cluster.local in-addr.arpa {\n  kubeconfig %s chaos-test\n  ttl 1\n }\n cache 1\n}\n' "$NODE_IP" "$KUBECONFIG" >Corefile
start coredns "$KUBE" coredns -conf Corefile
start metrics-server "$KUBE" metrics-server "$KUBECONFIG"
"$KUBECTL" apply -f - >/dev/null <<C
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $DNS_IP
  ports: [{name: dns, port: 53, protocol: UDP, targetPort: 53}, {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{name: https, port: 443, targetPort: 4443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server-node, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
ports: [{name: https, port: 4443, protocol: TCP}]
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {group: metrics.k8s.io, version: v1beta1, insecureSkipTLSVerify: true, groupPriorityMinimum: 100, versionPriority: 100, service: {name: metrics-server, namespace: kube-system}}
C
wait_for 60 "$KUBECTL" wait --for=condition=Ready "node/$NODE" --timeout=1s
if [ "$(jobs -r | wc -l)" = ${#components[@]} ]; then
  phase "node ready"
  touch ready
fi
wait -n -p process || true
echo "${components[$process]:-a component} ended, and so the whole cluster does; see $STATE/logs/${components[$process]:-}.log" >&2
exit 1
