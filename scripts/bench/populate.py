"""Fill a namespace with simulated pods, as kwok would: Deployments, their ReplicaSets, pods that run and are
ready on simulated nodes, Services and EndpointSlices. Every object goes through the API server's own writes,
status included, so that managedFields and all are as real ones.

usage: populate.py FOLDER-OF-KEYS PORT NAMESPACE PODS"""

import http.client
import json
import ssl
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

FOLDER, PORT, NAMESPACE, PODS = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
PER_DEPLOYMENT, PER_NODE = 100, 50
NOW = "2026-11-22T10:00:00Z"
local = threading.local()


def send(method, path, body, headers):
    """The answer's status and body. A connection that was idle for long may be closed by now."""
    for fresh in [False, True]:
        try:
            if fresh or not hasattr(local, "connection"):
                context = ssl.create_default_context(cafile=f"{FOLDER}/ca.crt")
                context.load_cert_chain(f"{FOLDER}/admin.crt", f"{FOLDER}/admin.key")
                local.connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context)
            local.connection.request(method, path, json.dumps(body), headers)
            answer = local.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            if fresh:
                sys.exit(f"populate.py: {method} {path}: {error}")


def call(method, path, body, agent):
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status, text = send(method, path, body, {"content-type": kind, "user-agent": agent})
    if status == 409 and method == "POST":
        return None
    if status >= 300:
        sys.exit(f"populate.py: {method} {path}: {status} {text[:300]}")
    return json.loads(text)


def make(path, body, status=None, manager="kube-controller-manager", reporter=None):
    made = call("POST", path, body, manager)
    if status is not None:
        call("PATCH", f"{path}/{body['metadata']['name']}/status", {"status": status}, reporter or manager)
    return made


def node(number):
    name = f"kwok-node-{number}"
    conditions = [
        {"type": kind, "status": "True" if kind == "Ready" else "False", "reason": "Kwok", "message": kind,
         "lastHeartbeatTime": NOW, "lastTransitionTime": NOW}
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
    ]
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    status = {"conditions": conditions, "allocatable": room, "capacity": room, "phase": "Running",
              "addresses": [{"type": "InternalIP", "address": f"10.100.{number // 256}.{number % 256}"}], "nodeInfo": {
                  "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                  "kubeProxyVersion": "fake", "kubeletVersion": "fake", "machineID": "", "operatingSystem": "linux",
                  "osImage": "", "systemUUID": ""}}
    labels = {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    make("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}, status, "kwok")


def template(app):
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "serviceAccountName": "default",
            "containers": [{
                "name": "main", "image": f"registry.example/{app}:1.2.3", "ports": [{"containerPort": 8080}],
                "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(8)],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
                "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}},
                "volumeMounts": [{"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}],
            }],
            "volumes": [{"name": "kube-api-access", "projected": {"sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
    }


def pod(app, owner, number):
    name = f"{app}-6d4b75cb6d-{number:05d}"
    ip = f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}"
    body = template(app)
    body |= {"apiVersion": "v1", "kind": "Pod"}
    body["metadata"] = {
        "name": name, "generateName": f"{app}-6d4b75cb6d-", "labels": {"app": app, "pod-template-hash": "6d4b75cb6d"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-6d4b75cb6d", "uid": owner,
                             "controller": True, "blockOwnerDeletion": True}]}
    body["spec"]["nodeName"] = f"kwok-node-{number // PER_NODE}"
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": NOW}
                  for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]]
    status = {
        "phase": "Running", "hostIP": "10.100.0.1", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": NOW, "conditions": conditions,
        "containerStatuses": [{
            "name": "main", "image": f"registry.example/{app}:1.2.3", "ready": True, "started": True, "restartCount": 0,
            "imageID": f"registry.example/{app}@sha256:{'0' * 64}", "containerID": f"containerd://{'1' * 64}",
            "state": {"running": {"startedAt": NOW}}}]}
    made = make(f"/api/v1/namespaces/{NAMESPACE}/pods", body, status, "kube-controller-manager", "kubelet")
    return {"addresses": [ip], "conditions": {"ready": True, "serving": True, "terminating": False}, "nodeName": body["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": name, "uid": made["metadata"]["uid"] if made else str(uuid.uuid4())}}


def application(number, pods, pool):
    app = f"app-{number:04d}"
    namespaced = f"/namespaces/{NAMESPACE}"
    spec = {"replicas": len(pods), "selector": {"matchLabels": {"app": app}}, "template": template(app)}
    count = {"replicas": len(pods), "readyReplicas": len(pods), "availableReplicas": len(pods), "observedGeneration": 1}
    meta = {"name": app, "labels": {"app": app}}
    made = make(f"/apis/apps/v1{namespaced}/deployments", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
                count | {"updatedReplicas": len(pods)})
    if made is None:
        return
    hashed = {"app": app, "pod-template-hash": "6d4b75cb6d"}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app, "uid": made["metadata"]["uid"], "controller": True}
    body = spec | {"selector": {"matchLabels": hashed}, "template": template(app) | {"metadata": {"labels": hashed}}}
    meta = {"name": f"{app}-6d4b75cb6d", "labels": hashed, "ownerReferences": [owner]}
    owned = make(f"/apis/apps/v1{namespaced}/replicasets", {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": body}, count)
    make(f"/api/v1{namespaced}/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
         "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}})
    endpoints = list(pool.map(lambda number: pod(app, owned["metadata"]["uid"], number), pods))
    make(f"/apis/discovery.k8s.io/v1{namespaced}/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP"}],
        "metadata": {"name": f"{app}-x", "labels": {"kubernetes.io/service-name": app}}, "endpoints": endpoints})


call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, "kwok")
with ThreadPoolExecutor(4) as pool:
    for number in range((PODS + PER_NODE - 1) // PER_NODE):
        node(number)
    for start in range(0, PODS, PER_DEPLOYMENT):
        application(start // PER_DEPLOYMENT, range(start, min(start + PER_DEPLOYMENT, PODS)), pool)
