"""Measure chaos-verify's load generator and its judge beside others, in one run.

usage: load.py CHAOS-VERIFY [REPOSITORY]     with REPOSITORY, the judge is simulated too (cargo test --release)

1. Closed loop at full speed against one nginx, one core each: requests a second, and requests for each second of
   processor time that the generator used, which other load on the machine changes less. Runs in turn; a ratio is the median
   of those of the rounds, as processors that are shared with others are not equally fast from one to the next.
2. Open loop against a server that stands still for a known time: p50, p99 and p99.9 beside the truth, which follows
   from the schedule of requests and the server's own log.
3. The judge on simulated pairs of measurements whose truth is known.

The others are used where they are found (PATH, or bin/ in the cache); load.sh fetches them: wrk and nginx from Debian, hey,
vegeta and k6 by go install, oha by cargo install."""

import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CONNECTIONS, SECONDS, RUNS = 64, 2, 9
CORES = sorted(os.sched_getaffinity(0))
CACHE = Path(os.environ.get("CHAOS_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chaos-runbook")
PATH = f"{os.environ['PATH']}:{CACHE / 'bin'}:{Path.home() / 'go/bin'}:/usr/sbin"


def found(name):
    return shutil.which(name, path=PATH)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port, server):
    """Waits until the server takes connections."""
    end = time.monotonic() + 10
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("load.py: nginx does not start")


def run(command, core):
    """What a command printed, and the processor seconds it used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout + done.stderr, used


def last_record(text):
    lines = [line for line in text.splitlines() if line.startswith("{\"schema\":\"chaos.load/1\"")]
    if not lines:
        sys.exit(f"load.py: chaos-verify wrote no record: {text[-500:]}")
    return json.loads(lines[-1])["data"]["timings"][0]


def number(pattern, text):
    match = re.search(pattern, text)
    return float(match[1]) if match else None


def full_speed(tool, url, folder):
    """The generators that are there: name, command, and how to read requests a second."""
    script = folder / "k6.js"
    script.write_text(f"import http from 'k6/http';\nexport default function () {{ http.get('{url}'); }}\n")
    targets = folder / "targets"
    targets.write_text(f"GET {url}\n")
    ours = [tool, "load", url, "--rate", "max", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s", "--warm-up", "0s", "-o", "json"]
    all_of_them = {
        "chaos-verify": (ours, lambda text: last_record(text)["requests"] / SECONDS),
        "wrk": (["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url], lambda text: number(r"Requests/sec:\s+([\d.]+)", text)),
        "oha": (["oha", "--no-tui", "-c", str(CONNECTIONS), "-z", f"{SECONDS}s", url], lambda text: number(r"Requests/sec:\s+([\d.]+)", text)),
        "hey": (["hey", "-cpus", "1", "-c", str(CONNECTIONS), "-z", f"{SECONDS}s", url], lambda text: number(r"Requests/sec:\s+([\d.]+)", text)),
        "vegeta": (["sh", "-c", f"{found('vegeta')} attack -rate=0 -max-workers={CONNECTIONS} -duration={SECONDS}s -targets={targets} | {found('vegeta')} report"],
                   lambda text: number(r"Requests\s+\[total, rate, throughput\]\s+\d+, [\d.]+, ([\d.]+)", text)),
        "k6": (["k6", "run", "--quiet", "--vus", str(CONNECTIONS), "--duration", f"{SECONDS}s", "--no-usage-report", str(script)],
               lambda text: number(r"http_reqs[.\s:]+\d+\s+([\d.]+)/s", text)),
    }
    there = {}
    for name, (command, read) in all_of_them.items():
        program = tool if name == "chaos-verify" else found(name)
        if program is None:
            print(f"  (not here: {name})")
            continue
        there[name] = ([command[0] if name in ("chaos-verify", "vegeta") else program, *command[1:]], read)
    return there


def closed_loop(tool):
    nginx = found("nginx")
    if nginx is None or len(CORES) < 2:
        print("closed loop: NOT MEASURED: it wants nginx and two cores")
        return
    with tempfile.TemporaryDirectory() as folder:
        folder, port = Path(folder), free_port()
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; error_log stderr crit; pid {folder}/pid;\nevents {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder}; "
            f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder}; default_type text/plain;\n"
            f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello, world\\n"; }} }} }}\n'
        )
        server = subprocess.Popen([nginx, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {CORES[0]}))
        try:
            listens(port, server)
            rates = {}
            print(f"closed loop at full speed, {CONNECTIONS} connections, nginx and generator on one core each, medians of {RUNS} runs of {SECONDS} s:")
            there = full_speed(tool, f"http://127.0.0.1:{port}/", folder)
            for _ in range(RUNS):
                for name, (command, read) in there.items():
                    text, used = run(command, CORES[1])
                    rate = read(text)
                    if rate is None:
                        sys.exit(f"load.py: cannot read what {name} says: {text[-500:]}")
                    rates.setdefault(name, []).append((rate, rate * SECONDS / max(used, 0.001)))
        finally:
            server.terminate()
            server.wait()
    ours, ratios = rates["chaos-verify"], {}
    for name, runs in rates.items():
        rate, each = (statistics.median(column) for column in zip(*runs))
        ratios[name], of_each = (statistics.median(a[i] / b[i] for a, b in zip(ours, runs)) for i in (0, 1))
        print(f"  {name:<13} {rate:>9.0f} requests/s, {each:>9.0f} for each second of processor; chaos-verify: {ratios[name]:.2f}x, {of_each:.2f}x")
    reached = ratios["wrk"] >= 0.9 if "wrk" in ratios else None
    print(f"  at least 0.9x wrk: {'not measured' if reached is None else 'reached' if reached else 'NOT REACHED'}; faster than the rest: "
          f"{'reached' if all(ratio > 1 for name, ratio in ratios.items() if name not in ('chaos-verify', 'wrk')) else 'NOT REACHED'}\n")


def received(connection):
    """What came; nothing at the end, however the other side made it."""
    try:
        return connection.recv(4096)
    except ConnectionError:
        return b""


class Staller(threading.Thread):
    """Answers every request after SERVICE seconds, but stands still once for STALL seconds: a thread a connection.
    Its log holds how long each answer outside the stall really took."""

    SERVICE, STALL = 0.05, 1.0

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.server.getsockname()[1]
        self.begins, self.took = None, []

    def stall_in(self, seconds):
        self.begins = time.monotonic() + seconds

    def run(self):
        while True:
            connection, _ = self.server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        while data := received(connection):
            came = time.monotonic()
            leaves = came + self.SERVICE
            begins = self.begins
            stalled = begins is not None and begins <= came < begins + self.STALL
            if stalled:
                leaves = begins + self.STALL + self.SERVICE
            time.sleep(max(0, leaves - time.monotonic()))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" * data.count(b"\r\n\r\n"))
            if not stalled:
                self.took.append(time.monotonic() - came)


def truth(rate, seconds, service):
    """Quantiles in milliseconds of requests that are due at a fixed rate, one second of it in the stall."""
    waits = [max(0.0, Staller.STALL - i / rate) for i in range(int(rate * Staller.STALL))]
    times = sorted(waits + [0.0] * (int(rate * seconds) - len(waits)))
    at = lambda share: times[min(len(times) - 1, -(-int(share * 1000) * len(times) // 1000) - 1)]
    return {name: (at(share) + service) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def open_loop(tool):
    rate, seconds = 100, 10
    print(f"open loop, {rate} requests a second for {seconds} s, against a server that takes {Staller.SERVICE * 1000:.0f} ms and stands still for {Staller.STALL:.0f} s:")
    def measured(name):
        staller = Staller()
        staller.start()
        url = f"http://127.0.0.1:{staller.port}/"
        staller.stall_in(5)
        if name == "chaos-verify":
            text, _ = run([tool, "load", url, "--rate", str(rate), "--duration", f"{seconds}s", "--warm-up", "1s", "--timeout", "10s", "-o", "json"], CORES[-1])
            timing = last_record(text)
            figures = {"p50": timing["p50_ms"], "p99": timing["p99_ms"], "p99.9": timing["p999_ms"]}
            note = timing["load"].get("saturated", "")
        elif name == "wrk":
            text, _ = run([found("wrk"), "-t1", "-c8", f"-d{seconds}s", "--latency", url], CORES[-1])
            at = lambda percent: (lambda m: float(m[1]) * {"us": 0.001, "ms": 1, "s": 1000}[m[2]])(re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text))
            figures, note = {"p50": at(50), "p99": at(99)}, "a closed loop: no rate"
        else:
            text, _ = run([found("hey"), "-c", "8", "-q", str(rate / 8), "-z", f"{seconds}s", url], CORES[-1])
            at = lambda percent: number(rf"{percent}%+ in ([\d.]+) secs", text) * 1000
            figures, note = {"p50": at(50), "p99": at(99)}, "8 workers, 12.5 a second each"
        return figures, note, statistics.median(staller.took)
    for name in ("chaos-verify", "wrk", "hey"):
        if name != "chaos-verify" and found(name) is None:
            print(f"  (not here: {name})")
            continue
        figures, note, service = measured(name)
        true = truth(rate, seconds, service)
        words = [f"{key} {value:.1f} (truth {true[key]:.1f}: {(value / true[key] - 1) * 100:+.1f} %)" for key, value in figures.items()]
        print(f"  {name:<13} {', '.join(words)} {note}")
        if name == "chaos-verify":
            good = all(abs(value / true[key] - 1) <= 0.01 for key, value in figures.items())
            print(f"  {'':<13} within 1 %: {'reached' if good else 'NOT REACHED'}")
    print()


def judge(repository):
    runs = os.environ.get("CHAOS_JUDGE_RUNS", "200")
    print(f"the judge on {runs} simulated pairs of each case (margin 1.2x, 1 point of errors), and two tests of difference at 2 %:")
    command = ["cargo", "test", "--release", "--quiet", "-p", "chaos-verify", "--test", "significance", "--", "--nocapture", "false_passes"]
    done = subprocess.run(command, cwd=repository, env={**os.environ, "CHAOS_JUDGE_RUNS": runs}, capture_output=True, text=True)
    table = [line for line in done.stdout.splitlines() if re.search(r" a side|^case|^false passes", line)]
    print("\n".join(f"  {line}" for line in table) or done.stderr[-1000:])
    print(f"  under 2 % in every case: {'reached' if done.returncode == 0 else 'NOT REACHED'}\n")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(f"machine: {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n")
    closed_loop(sys.argv[1])
    open_loop(sys.argv[1])
    if len(sys.argv) == 3:
        judge(sys.argv[2])


main()
