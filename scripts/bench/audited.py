"""Hold chaos-inject against the API server's audit log, which has microseconds.

1. The recovery times that it measures, beside what somebody sees who asks for the pods every second.
2. How long `abort` takes, from its start to the last write of the undo in the run that it stops.

usage: audited.py CHAOS-INJECT AUDIT-LOG [RUNS]   (KUBECONFIG names the cluster, which has the shop's image)"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

TOOL, AUDIT = sys.argv[1], Path(sys.argv[2])
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 10
NAMESPACE = "chaos-bench-audited"
LIMIT_MS = 20
ABORT_LIMIT_MS = 1000
OBJECTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: web, image: "chaos.test/shop:1", imagePullPolicy: IfNotPresent, command: [shop, frontend],
         readinessProbe: {{httpGet: {{path: /health, port: 3000}}, periodSeconds: 1}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {NAMESPACE}}}
spec: {{selector: {{app: web}}, ports: [{{port: 3000}}]}}
"""
CONFIG = f"""
[application]
namespace = "{NAMESPACE}"
[limits]
namespaces = ["{NAMESPACE}"]
max_share_percent = 100.0
[experiment]
warm_up = "500ms"
settle = "0s"
[experiment.pod_failure]
workloads = ["deployment/web"]
[experiment.scale_down]
workload = "deployment/web"
duration = "30s"
"""
FOLDER = tempfile.TemporaryDirectory()
CONFIG_FILE = Path(FOLDER.name) / "chaos.toml"


def kubectl(*args, **options):
    return subprocess.run(["kubectl", "-n", NAMESPACE, *args], capture_output=True, text=True, check=True, **options).stdout


def ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def poll(seen, stop):
    """When each pod was first seen to be ready, asking every second."""
    while not stop.is_set():
        began = time.time()
        for pod in json.loads(kubectl("get", "pods", "-o", "json"))["items"]:
            if ready(pod):
                seen.setdefault(pod["metadata"]["name"], time.time())
        stop.wait(max(0.0, began + 1 - time.time()))


def events(mark):
    with AUDIT.open("rb") as log:
        log.seek(mark)
        for line in log:
            event = json.loads(line)
            if event.get("objectRef", {}).get("namespace") == NAMESPACE and event["stage"] == "ResponseComplete":
                yield event


def truth(mark, old, new, uid):
    """When the API server got the deletion of one pod, and had stored that the other is ready, and an endpoint."""
    deleted = is_ready = endpoint = None
    for event in events(mark):
        where, body = event["objectRef"], event.get("requestObject") or {}
        if event["verb"] == "delete" and where.get("name") == old and event["userAgent"] == "chaos-inject":
            deleted = deleted or seconds(event["requestReceivedTimestamp"])
        elif where.get("subresource") == "status" and where.get("name") == new and is_ready is None and ready(body):
            is_ready = seconds(event["stageTimestamp"])
        elif where["resource"] == "endpointslices" and endpoint is None:
            for one in body.get("endpoints") or []:
                if one.get("targetRef", {}).get("uid") == uid and one["conditions"].get("ready"):
                    endpoint = seconds(event["stageTimestamp"])
    return deleted, is_ready, endpoint


def wait_until_whole():
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    while "True True" != kubectl("get", "pods", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"):
        time.sleep(0.1)


def recovery(rows):
    """One pod fails and comes back."""
    wait_until_whole()
    mark, seen, stop = AUDIT.stat().st_size, {}, threading.Event()
    poller = threading.Thread(target=poll, args=(seen, stop))
    poller.start()
    ran = subprocess.run(inject("pod-failure"), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    time.sleep(1.2)
    stop.set()
    poller.join()
    record = json.loads(ran.stdout.splitlines()[-1])
    if ran.returncode != 0:
        sys.exit(f"audited.py: chaos-inject ends with {ran.returncode}: {record['summary']}\n{ran.stderr}")
    for one in record["data"]["recoveries"]:
        new, phases = one["replacement"], one["phases"]
        deleted, is_ready, endpoint = truth(mark, one["deleted"]["name"], new["name"], new["uid"])
        if None in (deleted, is_ready, endpoint):
            sys.exit(f"audited.py: the audit log does not show pod {new['name']}: {deleted} {is_ready} {endpoint}")
        rows["ready"].append(phases["ready_ms"] - (is_ready - deleted) * 1000)
        rows["in the endpoints"].append(phases["in_endpoints_ms"] - (endpoint - deleted) * 1000)
        rows["ready, asked every second"].append((seen[new["name"]] - is_ready) * 1000)


def writes(mark):
    """When each of chaos-inject's writes to the Deployment was stored."""
    for event in events(mark):
        if event["verb"] == "patch" and event["objectRef"]["resource"] == "deployments" and event["userAgent"] == "chaos-inject":
            yield seconds(event["stageTimestamp"])


def abort():
    """A workload is scaled down and the run is aborted: milliseconds to the undo's write, and to the end of `abort`."""
    wait_until_whole()
    mark = AUDIT.stat().st_size
    run = subprocess.Popen(inject("scale-down"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.time() + 20
        while not list(writes(mark)):
            if time.time() > end:
                sys.exit("audited.py: scale-down writes nothing")
            time.sleep(0.1)
        time.sleep(1)
        began = time.time()
        subprocess.run([TOOL, "abort", "--reason", "bench", "--config", CONFIG_FILE, "-o", "json"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        ended = time.time()
        if run.wait() != 6:
            sys.exit(f"audited.py: the aborted run ends with {run.returncode}, and not with 6")
    finally:
        # It undoes its fault then; the namespace goes only after that.
        run.terminate()
        run.wait()
    undone = max(writes(mark))
    if undone < began:
        sys.exit("audited.py: the audit log shows no write of the undo")
    return (undone - began) * 1000, (ended - began) * 1000


def inject(experiment):
    return [TOOL, "run", experiment, "--yes", "--override=gate.health=bench", "--override=gate.backup=bench", "--config", CONFIG_FILE, "-o", "json"]


def main():
    CONFIG_FILE.write_text(CONFIG)
    kubectl("apply", "-f", "-", input=OBJECTS)
    rows = {"ready": [], "in the endpoints": [], "ready, asked every second": []}
    try:
        for _ in range(RUNS):
            recovery(rows)
        aborts = [abort() for _ in range(RUNS)]
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    print(f"recovery of {len(rows['ready'])} pods: milliseconds from the truth of the audit log (limit {LIMIT_MS})")
    print(f"{'':<28} {'median':>8} {'furthest':>9} {'within limit':>13}")
    for name, errors in rows.items():
        within = sum(abs(error) <= LIMIT_MS for error in errors)
        furthest = max(errors, key=abs)
        print(f"{name:<28} {statistics.median(errors):>8.1f} {furthest:>9.1f} {within:>8} of {len(errors)}")
    print(f"\nabort of {len(aborts)} runs: milliseconds from its start (limit of the first {ABORT_LIMIT_MS})")
    print(f"{'':<28} {'median':>8} {'worst':>9}")
    for name, times in zip(["the undo is written", "abort ends: all is whole"], zip(*aborts)):
        print(f"{name:<28} {statistics.median(times):>8.0f} {max(times):>9.0f}")


main()
