"""What a scheduler, a kubelet and an EndpointSlice's readers would do for a few pods, without running any: each pod gets a
node, is ready a moment later, and goes when it is deleted.

usage: node.py FOLDER-OF-KEYS PORT NAMESPACE   until it is ended"""

import http.client
import json
import ssl
import sys
import time

FOLDER, PORT, NAMESPACE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Api:
    def __init__(self):
        context = ssl.create_default_context(cafile=f"{FOLDER}/ca.crt")
        context.load_cert_chain(f"{FOLDER}/admin.crt", f"{FOLDER}/admin.key")
        self.connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context)

    def call(self, method, path, body=None):
        """The answer's status and object. That somebody was quicker is no error here."""
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        self.connection.request(method, path, json.dumps(body) if body else None, {"content-type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status not in (404, 409):
            sys.exit(f"node.py: {method} {path}: {answer.status} {text[:300]}")
        return answer.status, json.loads(text)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def node():
    conditions = [
        {"type": kind, "status": "True" if kind == "Ready" else "False", "reason": "Simulated", "message": kind,
         "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
    ]
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    api.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
    api.call("PATCH", "/api/v1/nodes/node1/status", {"status": {"conditions": conditions, "allocatable": room, "capacity": room}})


def ready(pod, number):
    ip = f"10.1.0.{number}"
    containers = [
        {"name": one["name"], "image": one["image"], "imageID": "", "containerID": f"containerd://{number:064}", "ready": True,
         "started": True, "restartCount": 0, "state": {"running": {"startedAt": now()}}}
        for one in pod["spec"]["containers"]
    ]
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": now()}
                  for kind in ["PodScheduled", "Initialized", "ContainersReady", "Ready"]]
    return {"phase": "Running", "hostIP": "10.0.0.1", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": now(),
            "conditions": conditions, "containerStatuses": containers}


api = Api()
node()
number = 1
while True:
    for pod in api.call("GET", PODS)[1].get("items", []):
        path = f"{PODS}/{pod['metadata']['name']}"
        if pod["metadata"].get("deletionTimestamp"):
            api.call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}})
        elif not pod["spec"].get("nodeName"):
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
                       "target": {"apiVersion": "v1", "kind": "Node", "name": "node1"}}
            api.call("POST", f"{path}/binding", binding)
        elif pod.get("status", {}).get("phase") != "Running":
            number = number % 250 + 1
            api.call("PATCH", f"{path}/status", {"status": ready(pod, number)})
    time.sleep(0.1)
