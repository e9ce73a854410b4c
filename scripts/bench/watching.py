"""Peak memory of chaos-inject while it watches a namespace of 5,000 pods through a whole run: a pod is deleted,
and this program does what kubelet and controllers would do: the pod goes, another takes its place.

usage: watching.py FOLDER-OF-KEYS PORT FOLDER-OF-TOOLS   (run by scale.sh; KUBECONFIG names the API server)"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

KEYS, PORT, TOOLS = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
PODS, LIMIT_MIB = int(os.environ.get("WATCHED", "5000")), 30e6 / 2**20
NAMESPACE = f"scale-{PODS}"
KUBECTL = Path(os.environ["CHAOS_CACHE"]) / "bin/kubectl"
CONFIG = f"""
[application]
namespace = "{NAMESPACE}"
[experiment]
warm_up = "1s"
settle = "1s"
[experiment.pod_failure]
recovery_limit = "30s"
"""


def kubectl(*args, **options):
    return subprocess.run([KUBECTL, "-n", NAMESPACE, *args], capture_output=True, text=True, check=True, **options).stdout


def get(kind, name):
    return json.loads(kubectl("get", kind, name, "-o", "json"))


def successor(pod):
    """Another pod of the same owner, as the controllers make it and the kubelet reports it."""
    body = {key: pod[key] for key in ["apiVersion", "kind", "spec"]}
    kept = ["namespace", "generateName", "labels", "ownerReferences"]
    body["metadata"] = {key: pod["metadata"][key] for key in kept} | {"name": pod["metadata"]["name"] + "-again"}
    made = json.loads(kubectl("create", "-o", "json", "-f", "-", input=json.dumps(body)))
    patch = json.dumps({"status": pod["status"]})
    kubectl("patch", "pod", made["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch)
    return made


def replace(pod, stop):
    """Waits for the deletion, and does what follows from it."""
    name, app = pod["metadata"]["name"], pod["metadata"]["labels"]["app"]
    while not get("pod", name)["metadata"].get("deletionTimestamp"):
        if stop.wait(0.2):
            return
    made = successor(pod)
    kubectl("delete", "pod", name, "--force", "--grace-period=0")
    endpoints = get("endpointslice", f"{app}-x")["endpoints"]
    for one in endpoints:
        if one["targetRef"]["name"] == name:
            one["targetRef"] |= {"name": made["metadata"]["name"], "uid": made["metadata"]["uid"]}
    kubectl("patch", "endpointslice", f"{app}-x", "--type=merge", "-p", json.dumps({"endpoints": endpoints}))


def main():
    fill = [sys.executable, Path(__file__).with_name("populate.py"), KEYS, PORT, NAMESPACE, str(PODS)]
    subprocess.run([str(part) for part in fill], check=True)
    pod = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods?limit=1"))["items"][0]
    # What is in a list does not say what it is.
    pod |= {"apiVersion": "v1", "kind": "Pod"}
    with tempfile.TemporaryDirectory() as folder:
        config, peak = Path(folder) / "chaos.toml", Path(folder) / "peak"
        config.write_text(CONFIG)
        stop = threading.Event()
        controller = threading.Thread(target=replace, args=(pod, stop))
        controller.start()
        began = time.perf_counter()
        run = [TOOLS / "chaos-inject", "run", "pod-failure", "--pod", pod["metadata"]["name"], "--yes", "--override=gate.health=bench", "--override=gate.backup=bench"]
        command = ["/usr/bin/time", "--output", peak, "--format", "%M", *run, "--config", config, "-o", "json"]
        state = os.environ | {"XDG_STATE_HOME": folder}
        ran = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=state)
        taken = time.perf_counter() - began
        stop.set()
        controller.join()
        record = json.loads(ran.stdout.splitlines()[-1])
        if record["data"]["outcome"] != "completed":
            sys.exit(f"watching.py: chaos-inject ends with {ran.returncode}: {record['summary']}\n{ran.stderr}")
        memory = int(peak.read_text().split()[-1]) / 1024
    print(f"\na run of pod-failure that watches {PODS} pods: {taken:.1f} s, peak {memory:.1f} MiB of a process")
    print(f"  under 30 MB: {'reached' if memory < LIMIT_MIB else 'NOT REACHED'}")


main()
