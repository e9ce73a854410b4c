"""Measure and try the fingerprint of one large table.

usage: fingerprint.py CHAOS-VERIFY FOLDER-OF-THE-SERVER'S-SOCKET ROWS

The whole of `chaos-verify baseline` and `chaos-verify` runs, with a stand-in for the API server, since nothing of a cluster
is measured here."""

import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

RUNS = 3
# What happens to the table, the status that must follow, and words of the message.
CASES = [
    ("nothing", "SELECT 1", "pass", "all there as they were"),
    ("1,000 new rows", "INSERT INTO orders (id, buyer, product, amount, state, at, note) SELECT n, 1, 2, 3, 'new', now(), '' "
     "FROM generate_series((SELECT max(id) + 1 FROM orders), (SELECT max(id) + 1000 FROM orders)) AS n", "pass", "1000 new"),
    ("one value flipped", "UPDATE orders SET amount = amount + 0.01 WHERE id = {at}", "fail", "1 row of the baseline were changed"),
    ("two columns of a row swapped", "UPDATE orders SET buyer = product, product = buyer WHERE id = {at}", "fail",
     "1 row of the baseline were changed"),
    ("one row lost", "DELETE FROM orders WHERE id = {at}", "fail", "at least 1 row lost"),
    ("one row lost and added again", "WITH gone AS (DELETE FROM orders WHERE id = {at} + 1 RETURNING *) INSERT INTO kept SELECT * FROM gone; "
     "INSERT INTO orders SELECT * FROM kept; DELETE FROM kept", "warn", "1 row of them written anew"),
]


class ApiServer(http.server.BaseHTTPRequestHandler):
    """Knows its namespaces and has nothing in them."""

    def do_GET(self):
        path = self.path.split("?")[0]
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": "bench"}}
        else:
            body = {"metadata": {}, "items": []}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Bed:
    def __init__(self, tool, socket_folder, home):
        self.tool, self.socket = tool, socket_folder
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = home / "kubeconfig"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}]}))
        config = home / "chaos.toml"
        config.write_text(f'[database]\ndeployment = "none"\nvantage = "direct"\nhost = "{socket_folder}"\nname = "postgres"\n'
                          'user = "postgres"\nstatement_timeout = "10m"\ntables = ["orders"]\n')
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "CHAOS_CONFIG": str(config), "HOME": str(home)}

    def sql(self, statement):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-U", "postgres", "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def verify(self, arguments, stream=None):
        """What the tool wrote, its last record, and the seconds that it took."""
        stdin = {"input": stream} if stream is not None else {"stdin": subprocess.DEVNULL}
        start = time.monotonic()
        done = subprocess.run([self.tool, *arguments, "-n", "bench", "-o", "json"], capture_output=True, text=True, env=self.environment, **stdin)
        took = time.monotonic() - start
        lines = done.stdout.splitlines()
        if not lines:
            sys.exit(f"fingerprint.py: chaos-verify wrote no record: {done.stderr}")
        return done.stdout, json.loads(lines[-1]), took

    def baseline(self):
        text, record, took = self.verify(["baseline"])
        if not record["data"].get("database", {}).get("fingerprints"):
            sys.exit(f"fingerprint.py: the baseline has no fingerprint: {record['data']['checks']}")
        return text, took


def shell(command):
    start = time.monotonic()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tool, socket, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as home:
        bed = Bed(tool, socket, Path(home))
        bed.sql("CREATE TABLE orders (id bigint, buyer int, product int, amount numeric(10,2), state text, at timestamptz, note text)")
        bed.sql("INSERT INTO orders SELECT n, n % 100003, n % 997 + 200000, (n % 99991) / 100.0, CASE n % 3 WHEN 0 THEN 'paid' WHEN 1 THEN "
                f"'sent' ELSE 'done' END, timestamptz '2026-01-01Z' + n * interval '1 s', 'order ' || n FROM generate_series(1, {rows}) AS n")
        bed.sql("ALTER TABLE orders ADD PRIMARY KEY (id)")
        bed.sql("CREATE TABLE kept (LIKE orders)")
        bed.sql("VACUUM ANALYZE orders")
        size = int(bed.sql("SELECT pg_relation_size('orders')"))
        print(f"fingerprint of a table of {rows:,} rows ({size / 2**20:,.0f} MiB), PostgreSQL {bed.sql('SHOW server_version')}, "
              f"machine of {os.cpu_count()} processors with load {os.getloadavg()[0]:.1f}:")
        count = statistics.median(shell(f"psql -X -q -h {socket} -U postgres -c 'SELECT count(*) FROM orders'") for _ in range(RUNS))
        baselines = [bed.baseline() for _ in range(RUNS)]
        ours = statistics.median(took for _, took in baselines)
        dump = shell(f"pg_dump -h {socket} -U postgres -t orders postgres | sha256sum")
        for name, took in (("chaos-verify baseline, all of it", ours), ("SELECT count(*)", count), ("pg_dump | sha256sum, once", dump)):
            print(f"  {name:<33} {took:>7.2f} s   chaos-verify: {ours / took:.2f} times that")
        stream, found = baselines[-1][0], True
        for number, (name, sql, status, words) in enumerate(CASES):
            if number > 0:
                stream, _ = bed.baseline()
            bed.sql(sql.format(at=rows * 2 // 3 + number * 1000))
            _, record, took = bed.verify(["--wait", "0s"], stream)
            check = next(check for check in record["data"]["checks"] if check["id"] == "data.table")
            right = check["status"] == status and words in check["message"]
            found &= right
            print(f"  {name:<33} {took:>7.2f} s   {check['status']}: {check['message']}{'' if right else '   WRONG: ' + status + ' is right'}")
        print(f"  every change found and nothing else: {'reached' if found else 'NOT REACHED'}\n")


main()
