#!/usr/bin/env python3
"""Take mail and webhooks on the loopback and write down what came.

usage: receivers.py DIR SMTP_PORT HOOK_PORT

Mail goes to DIR/maildir. Each webhook becomes one line of DIR/webhooks.ndjson;
its answer is Slack's "ok", which a status page's client takes too.
"""
import datetime
import http.server
import json
import os
import signal
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox

HOST = "127.0.0.1"


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        entry = {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "path": self.path,
            "headers": dict(self.headers),
            "body": body.decode("utf-8", "replace"),
        }
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        # One write to a file opened for appending: requests that come together do not mix.
        record = os.open(self.server.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(record, line.encode())
        finally:
            os.close(record)
        self.answer(200, b"ok")

    do_PUT = do_PATCH = do_POST

    def do_GET(self):
        self.answer(200, b"ok")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def end(*_):
    raise SystemExit(0)


def main(folder, smtp_port, hook_port):
    signal.signal(signal.SIGTERM, end)
    hooks = http.server.ThreadingHTTPServer((HOST, int(hook_port)), Hook)
    hooks.record = os.path.join(folder, "webhooks.ndjson")
    mail = Controller(Mailbox(os.path.join(folder, "maildir")), hostname=HOST, port=int(smtp_port))
    mail.start()
    try:
        hooks.serve_forever()
    finally:
        mail.stop()


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
