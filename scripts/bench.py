"""Measure the tools beside what they replace: pairs in turn, medians, ratios of medians.

usage: bench.py FOLDER-OF-TOOLS FOLDER-OF-KEYS   (run by bench.sh)

Wall time is from start to end of a process; peak memory is the kernel's figure for the largest single
process of a command (wait4, ru_maxrss)."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOOLS = ["chaos-health", "chaos-backup-check", "chaos-notify", "chaos-inject", "chaos-verify", "chaos-report"]
APP, MON = "ecommerce-production", "monitoring"


def run(command):
    """One run: seconds, peak memory in MiB, exit status."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def pair(ours, theirs, runs):
    """Runs both in turn, ours first, after one run of each that does not count."""
    run(ours), run(theirs)
    results = [(run(ours), run(theirs)) for _ in range(runs)]
    for (_, _, code), command in [(results[0][0], ours), (results[0][1], theirs)]:
        if code != 0:
            sys.exit(f"bench.py: {command} ends with {code}, so its time says nothing")
    median = lambda side, figure: statistics.median(result[side][figure] for result in results)
    return (median(0, 0), max(r[0][1] for r in results)), (median(1, 0), max(r[1][1] for r in results))


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
    ours, theirs = pair(["chaos-health"], ["bash", "-c", script], 10)
    print("the chapter on health, medians of 10 runs in turn        wall      peak of a process   processes")
    print(f"  chaos-health                                        {ours[0] * 1000:7.0f} ms   {ours[1]:8.1f} MiB          1")
    print(f"  the runbook's {len(commands)} commands                         {theirs[0] * 1000:7.0f} ms   {theirs[1]:8.1f} MiB         {len(commands) + 4}")
    ratio = theirs[0] / ours[0]
    print(f"  {ratio:.1f} times as fast (wanted: 10): {verdict(ratio >= 10)}; under 20 MiB: {verdict(ours[1] < 20)}\n")

    print("start, medians of 20 runs in turn with kubectl version --client")
    worst = 0.0
    for tool in TOOLS:
        for flag in ["--version", "--help"]:
            ours, theirs = pair([tool, flag], ["kubectl", "version", "--client"], 20)
            share = ours[0] / theirs[0]
            worst = max(worst, share)
            print(f"  {tool + ' ' + flag:30} {ours[0] * 1000:6.2f} ms of {theirs[0] * 1000:6.1f} ms = {share:.3f}   {ours[1]:5.1f} MiB")
    print(f"  at most a tenth: {verdict(worst <= 0.1)} (worst {worst:.3f})\n")

    sizes = {tool: (tools / tool).stat().st_size / 1e6 for tool in TOOLS}
    for tool, size in sizes.items():
        print(f"  {tool:20} {size:5.1f} MB")
    total = sum(sizes.values())
    print(f"  all six together     {total:5.1f} MB (wanted: at most 60): {verdict(total <= 60)}")


main()
