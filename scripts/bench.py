"""Measure the tools beside what they replace: pairs in turn, medians, ratios of medians.

usage: bench.py FOLDER-OF-TOOLS FOLDER-OF-KEYS   (run by bench.sh)

Wall time is from start to end of a command. Peak memory is that of its largest single process, as GNU
time reports it in runs of its own: a process that this program starts would count this program's."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOOLS = ["chaos-health", "chaos-backup-check", "chaos-notify", "chaos-inject", "chaos-verify", "chaos-report"]
APP, MON = "ecommerce-production", "monitoring"


def run(command):
    """Seconds of one run; one that fails says nothing."""
    start = time.perf_counter()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    code = subprocess.run(command, **quiet).returncode
    if code != 0:
        sys.exit(f"bench.py: {command} ends with {code}, so its time says nothing")
    return time.perf_counter() - start


def peak(command):
    """Peak memory in MiB, the most of three runs."""
    with tempfile.NamedTemporaryFile("r") as file:
        for _ in range(3):
            run(["/usr/bin/time", "--append", "--output", file.name, "--format", "%M", *command])
        return max(int(line) for line in file) / 1024


def pair(ours, theirs, runs):
    """Medians of both, run in turn, ours first, after one run of each that does not count."""
    run(ours), run(theirs)
    results = [(run(ours), run(theirs)) for _ in range(runs)]
    return tuple(statistics.median(side) for side in zip(*results))


def chapter(keys):
    """The commands of the runbook's chapter on health verification. Its curl lines name Services that
    only resolve inside the cluster; from here they go through the API server, as chaos-health's do."""
    server = subprocess.run(
        ["kubectl", "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"], capture_output=True, text=True, check=True
    ).stdout
    curl = f"curl -sf --cacert {keys}/ca.crt --cert {keys}/admin.crt --key {keys}/admin.key {server}/api/v1/namespaces/{APP}/services"
    return [
        f"kubectl get pods -n {APP}",
        f"kubectl get pods -n {APP} -o wide",
        f"kubectl get pods -n {APP} --field-selector=status.phase=Running",
        f"kubectl get endpoints -n {APP}",
        f"kubectl get services -n {APP}",
        f"{curl}/ecommerce-frontend-service:3000/proxy/health",
        f"{curl}/ecommerce-backend-service:8000/proxy/health",
        "kubectl top nodes",
        f"kubectl top pods -n {APP}",
        "kubectl describe nodes",
        f"kubectl get pods -n {MON} | grep prometheus",
        f"kubectl get pods -n {MON} | grep grafana",
        f"kubectl get pods -n {MON} | grep alertmanager",
    ]


def verdict(reached):
    return "reached" if reached else "NOT REACHED"


def main():
    tools, keys = Path(sys.argv[1]), Path(sys.argv[2])
    print(f"machine: {os.cpu_count()} processors, {os.uname().sysname} {os.uname().release}, load {os.getloadavg()[0]:.1f}\n")

    commands = chapter(keys)
    script = "set -eo pipefail\n" + "\n".join(commands)
    health, runbook = ["chaos-health"], ["bash", "-c", script]
    ours, theirs = pair(health, runbook, 10)
    memory = peak(health)
    print("the chapter on health, medians of 10 runs in turn        wall      peak of a process   processes")
    print(f"  chaos-health                                        {ours * 1000:7.0f} ms   {memory:8.1f} MiB          1")
    print(f"  the runbook's {len(commands)} commands                         {theirs * 1000:7.0f} ms   {peak(runbook):8.1f} MiB         {len(commands) + 4}")
    ratio = theirs / ours
    print(f"  {ratio:.1f} times as fast (wanted: 10): {verdict(ratio >= 10)}; under 20 MiB: {verdict(memory < 20)}\n")

    print("start, medians of 20 runs in turn with kubectl version --client")
    worst = 0.0
    for tool in TOOLS:
        for flag in ["--version", "--help"]:
            ours, theirs = pair([tool, flag], ["kubectl", "version", "--client"], 20)
            share = ours / theirs
            worst = max(worst, share)
            print(f"  {tool + ' ' + flag:30} {ours * 1000:6.2f} ms of {theirs * 1000:6.1f} ms = {share:.3f}   {peak([tool, flag]):5.1f} MiB")
    print(f"  at most a tenth: {verdict(worst <= 0.1)} (worst {worst:.3f})\n")

    sizes = {tool: (tools / tool).stat().st_size / 1e6 for tool in TOOLS}
    for tool, size in sizes.items():
        print(f"  {tool:20} {size:5.1f} MB")
    total = sum(sizes.values())
    print(f"  all six together     {total:5.1f} MB (wanted: at most 60): {verdict(total <= 60)}")


main()
