"""Streams of an archive, for measuring: archive.py FOLDER NUMBER. The same ones each time, of 63 kB each."""

import json
import os
import random
import sys
from datetime import datetime, timedelta, timezone

folder, number = sys.argv[1], int(sys.argv[2])
rnd = random.Random("archive")
START = datetime(2025, 1, 1, tzinfo=timezone.utc)
STEP = timedelta(minutes=52)  # ten thousand of them are a year
SIZE = 63_000
WORKLOADS = [f"shop-{name}" for name in ("frontend", "backend", "cart", "search", "payment", "mail", "database", "cache")]
EXPERIMENTS = ("pod-failure", "network-partition", "resource-exhaustion", "storage-failure", "scale-down", "dns-failure")
CLUSTER = {"id": "5c0ffee0-1111-4222-8333-444455556666", "context": "bench", "server": "https://10.89.0.1:6443/"}
os.makedirs(folder, exist_ok=True)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def record(kind, tool, time, verdict, summary, data):
    record.number += 1
    envelope = {"schema": f"chaos.{kind}/1", "id": f"{record.run[:24]}{record.number:012x}", "run": record.run, "time": stamp(time)}
    envelope["tool"] = f"{tool} 0.1.0"
    if verdict:
        envelope["verdict"] = verdict
    return json.dumps(envelope | {"summary": summary, "data": data}, separators=(",", ":")) + "\n"


def ref(name):
    return {"kind": "Deployment", "namespace": "shop", "name": name}


def state():
    workloads = [ref(name) | {"wants": 2, "ready": 2, "images": ["shop:1"], "restarts": 0} for name in WORKLOADS]
    services = [{"namespace": "shop", "name": name, "ready": 2, "not_ready": 0} for name in WORKLOADS]
    return {"workloads": workloads, "services": services, "nodes": []}


def checks(prefix, failing=None):
    found = []
    for name in WORKLOADS:
        for check in ("pods.ready", "service.endpoints", "data.rows"):
            bad = failing == (check, name)
            found.append({"id": f"{prefix}{check}", "object": f"deployment/{name}", "status": "fail" if bad else "pass",
                          "message": "1 of 2 pods are ready" if bad else "2 of 2 pods are ready"})
    return found


def recovery(name, ms):
    phases = {"created_ms": 60.0, "ready_ms": ms - 40, "in_endpoints_ms": ms}
    pods = {"deleted": {"name": f"{name}-a", "uid": "u1"}, "replacement": {"name": f"{name}-b", "uid": "u2"}}
    return pods | {"owner": ref(name), "phases": phases, "recovery_ms": ms, "error_bound_ms": 20.0}


def stream(number):
    record.run, record.number = f"019{number:05x}-0000-7000-8000-{number:012x}", 0
    start = START + number * STEP
    at = lambda seconds: start + timedelta(seconds=seconds)
    name, target = EXPERIMENTS[number % 6], rnd.choice(WORKLOADS)
    failing = (rnd.choice(("pods.ready", "data.rows")), target) if rnd.random() < 0.15 else None
    verdict = "fail" if failing else "pass"
    ms = round(rnd.lognormvariate(8.3, 0.4), 1)
    head = record("health", "chaos-health", at(0), "pass", "24 of 24 checks pass",
                  {"cluster": CLUSTER, "namespace": "shop", "checks": checks(""), "state": state()})
    tail = record("experiment", "chaos-inject", at(90), "pass", f"{name} completed", {
        "experiment": name, "outcome": "completed", "cluster": CLUSTER, "namespace": "shop", "executor": f"ops{number % 5}@laptop",
        "targets": [{"kind": "Pod", "namespace": "shop", "name": f"{target}-a", "uid": "u1", "owner": ref(target)}],
        "started": stamp(at(10)), "injected": stamp(at(12)), "restored": stamp(at(60)), "ended": stamp(at(89)), "duration_ms": 79000,
        "checks": [{"id": f"{name}.effect", "status": "pass", "message": "seen"}], "recoveries": [recovery(target, ms)],
        "availability": [], "alerts": [{"name": "PodDown", "expected": True, "before": False, "fired_ms": 9000.0}],
        "timings": {}, "actions": ["deleted a pod"], "issues": []})
    tail += record("verification", "chaos-verify", at(100), verdict, "checked", {
        "cluster": CLUSTER, "namespace": "shop", "since": stamp(at(12)), "checks": checks("recovery.", failing), "state": state(),
        "configuration": [], "answers": [], "log_errors": [], "timings": []})
    events, size = [], len(head) + len(tail)
    while size < SIZE:
        second = 12 + len(events) * 0.4
        line = record("event", "chaos-inject", at(second), None, f"pod/{target}-{rnd.getrandbits(40):010x} was seen to be ready",
                      {"event": "observed", "object": f"pod/{target}-a", "since_injection_ms": len(events) * 400.0})
        events.append(line)
        size += len(line)
    return start, name, head + "".join(events) + tail


for i in range(number):
    start, name, text = stream(i)
    path = os.path.join(folder, f"{start.strftime('%Y%m%dT%H%M%SZ')}-{name}-{i:08x}")
    with open(path + ".ndjson", "w") as out:
        out.write(text)
    with open(path + ".md", "w") as out:
        out.write("# Chaos Engineering Experiment Report\n")
