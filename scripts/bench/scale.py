"""Time and peak memory of a look at all pods of a namespace, by number of pods: medians of runs in turn.

usage: scale.py FOLDER-OF-KEYS PORT FOLDER-OF-TOOLS FOLDER-OF-CHAOS-TOOLKIT   (run by scale.sh)"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

KEYS, PORT, TOOLS, TOOLKIT = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
SIZES = [int(size) for size in os.environ.get("SIZES", "100 1000 10000").split()]
RUNS = int(os.environ.get("RUNS", "5"))
KUBECTL = Path(os.environ["CHAOS_CACHE"]) / "bin/kubectl"
# A namespace without the metrics API is unknown to chaos-health, not unhealthy.
SKIP = ["--skip", "pods.usage", "--skip", "node.usage"]
PROBE = "from chaosk8s.pod.probes import all_pods_healthy; assert all_pods_healthy(ns='{}')"


def run(command):
    """Seconds and peak MiB of one run; one that fails says nothing."""
    begin = time.perf_counter()
    done = subprocess.run(
        ["/usr/bin/time", "--format", "%M", *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    taken = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"scale.py: {command[0]} ends with {done.returncode}: {done.stderr[-500:]}")
    return taken, int(done.stderr.split()[-1]) / 1024


def main():
    print(f"machine: {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians of {RUNS} runs in turn")
    print(f"{'pods':>6}  {'':24} {'wall':>9}  {'peak':>9}   of curl's time")
    reached = True
    for size in SIZES:
        namespace = f"scale-{size}"
        fill = [sys.executable, Path(__file__).with_name("populate.py"), KEYS, PORT, namespace, str(size)]
        subprocess.run(fill, check=True)
        url = f"https://127.0.0.1:{PORT}/api/v1/namespaces/{namespace}/pods"
        tls = ["--cacert", KEYS / "ca.crt", "--cert", KEYS / "admin.crt", "--key", KEYS / "admin.key"]
        commands = {
            "curl, protobuf": ["curl", "-sf", *tls, "-o", "/dev/null", "-H", "Accept: application/vnd.kubernetes.protobuf", url],
            "chaos-health": [TOOLS / "chaos-health", "-n", namespace, "-o", "json", *SKIP],
            "kubectl get pods": [KUBECTL, "get", "pods", "-n", namespace],
        }
        if (TOOLKIT / "bin/python").exists():
            commands["Chaos Toolkit"] = [TOOLKIT / "bin/python", "-c", PROBE.format(namespace)]
        results = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                results[name].append(run([str(part) for part in command]))
        curl = statistics.median(taken for taken, _ in results["curl, protobuf"])
        for name, runs in results.items():
            taken, memory = statistics.median(taken for taken, _ in runs), max(memory for _, memory in runs)
            print(f"{size:6}  {name:24} {taken * 1000:6.0f} ms  {memory:5.1f} MiB   {taken / curl:5.2f}")
            if name == "chaos-health" and size == max(SIZES):
                reached = (taken / curl <= 1.5, memory < 32)
    words = ["reached" if good else "NOT REACHED" for good in reached]
    print(f"  at {max(SIZES)} pods within 1.5 of curl's time: {words[0]}; under 32 MiB: {words[1]}")


main()
