"""Fault matrix: chaos-notify beside apprise, against servers that misbehave.

usage: notify.py CHAOS-NOTIFY APPRISE

Both send one message by a webhook (apprise: json://) or by mail (mailto://). The server knows whether it took the message;
the tool says sent, failed, or (chaos-notify alone) unknown. Counted are:

wrong        it says sent and the message was not taken, or failed and it was
duplicates   copies beyond the first
silent loss  it says sent, and nothing was taken
put off      not taken, told as failed, and sent later by the tool itself (chaos-notify flush)
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

CHAOS_NOTIFY, APPRISE = sys.argv[1:3]
SILENCE = 40


class Server:
    """A TCP server that hands each connection to a function, and counts what was taken."""

    def __init__(self, talk):
        self.talk, self.taken, self.asked = talk, 0, 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection):
        with connection:
            try:
                self.talk(self, connection)
            except OSError:
                pass

    def take(self):
        with self.lock:
            self.taken += 1

    def number(self):
        with self.lock:
            self.asked += 1
            return self.asked


def request(connection):
    """Reads a request; whether there was one."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return False
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return False
        body += chunk
    return True


def whole(status, body=b"ok", head=b""):
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, head, len(body), body)


def http(*answers):
    """A server that gives these answers in turn, and the last ever after. An answer is whether it takes the message, and bytes,
    or what it does instead of answering."""

    def talk(server, connection):
        if not request(connection):
            return
        takes, answer = answers[min(server.number(), len(answers)) - 1]
        if takes:
            server.take()
        if answer == "drop":
            return
        if answer == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return
        if answer == "hang":
            time.sleep(SILENCE)
            return
        if answer == "endless headers":
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(b"X-More: and more and more\r\n")
        if answer == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            end = time.monotonic() + SILENCE
            while time.monotonic() < end:
                connection.sendall(b"o")
                time.sleep(0.2)
            return
        connection.sendall(answer)

    return talk


GOOD = (True, whole(b"200 OK"))
LOGIN = b"<html><form>log in</form></html>"
HTTP = {
    "good": [GOOD],
    "429, then good": [(False, whole(b"429 Slow", head=b"Retry-After: 1\r\n")), GOOD],
    "429 for an hour": [(False, whole(b"429 Slow", head=b"Retry-After: 3600\r\n"))],
    "503 with Retry-After, then good": [(False, whole(b"503 Busy", head=b"Retry-After: 1\r\n")), GOOD],
    "503, not taken": [(False, whole(b"503 Busy"))],
    "503, taken": [(True, whole(b"503 Busy"))],
    "408, then good": [(False, whole(b"408 Timeout")), GOOD],
    "500, not taken": [(False, whole(b"500 Error"))],
    "500, taken": [(True, whole(b"500 Error"))],
    "502, not taken": [(False, whole(b"502 Bad Gateway"))],
    "502, taken": [(True, whole(b"502 Bad Gateway"))],
    "504, not taken": [(False, whole(b"504 Gateway Timeout"))],
    "504, taken": [(True, whole(b"504 Gateway Timeout"))],
    "401": [(False, whole(b"401 Unauthorized"))],
    "404": [(False, whole(b"404 Not Found"))],
    "410": [(False, whole(b"410 Gone"))],
    "413": [(False, whole(b"413 Too Large"))],
    "302 to a login page": [(False, whole(b"302 Found", head=b"Location: /login\r\n")), (False, whole(b"200 OK", LOGIN))],
    "login page with 200": [(False, whole(b"200 OK", LOGIN))],
    "drops, not taken": [(False, "drop")],
    "drops, taken": [(True, "drop")],
    "resets, taken": [(True, "reset")],
    "hangs, not taken": [(False, "hang")],
    "hangs, taken": [(True, "hang")],
    "endless headers": [(False, "endless headers")],
    "answer in drops, taken": [(True, "drip")],
    "answer cut off, taken": [(True, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")],
    "answer cut off, not taken": [(False, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")],
    "no HTTP": [(False, b"220 mail.example.com ESMTP\r\n")],
}


def smtp(manner):
    """A mail server with this manner."""

    def talk(server, connection):
        number, stream = server.number(), connection.makefile("rwb")

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        if manner == "drops at greeting":
            return
        if manner == "silent":
            time.sleep(SILENCE)
            return
        say("421 busy" if manner == "busy" else "220 test")
        for line in stream:
            command = line.split(b" ")[0].strip().upper()
            if command == b"EHLO":
                say("250-test\r\n250 8BITMIME")
            elif command == b"MAIL" and manner == "refuses the sender":
                say("550 no")
            elif command == b"RCPT" and (manner == "refuses" or manner == "refuses one of two" and b"nobody@" in line):
                say("550 no such user")
            elif command == b"RCPT" and (manner == "greylists" or manner == "greylists once" and number == 1):
                say("450 greylisted")
            elif command == b"DATA":
                if manner == "drops at DATA":
                    return
                say("354 go on")
                while (data := stream.readline()) not in (b".\r\n", b""):
                    if manner == "drops within the message":
                        return
                if not data:
                    return
                if manner in ("refuses the message", "puts the message off"):
                    say("554 spam" if manner == "refuses the message" else "451 later")
                    continue
                if manner == "drops after the message, not taken":
                    return
                server.take()
                if manner == "drops after the message, taken":
                    return
                if manner == "silent after the message, taken":
                    time.sleep(SILENCE)
                    return
                say("250 queued")
            elif command == b"QUIT":
                if manner != "drops at QUIT":
                    say("221 bye")
                return
            else:
                say("250 ok")

    return talk


SMTP = [
    "good", "greylists once", "greylists", "busy", "drops at greeting", "silent", "refuses", "refuses the sender",
    "refuses one of two", "drops at DATA", "drops within the message", "refuses the message", "puts the message off",
    "drops after the message, taken", "drops after the message, not taken", "silent after the message, taken", "drops at QUIT",
]


def chaos_notify(kind, port, two):
    """What chaos-notify says; the server to which it sent later."""
    with tempfile.TemporaryDirectory() as home:
        def configure(port):
            table = '[notify.webhook]\nurl = { file = "url" }\nsecret = { file = "key" }\n'
            if kind == "mail":
                team = '"nobody@company.com", "team@company.com"' if two else '"team@company.com"'
                table = f'[notify.mail]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\nfrom = "a@b.com"\nteam = [{team}]\n'
            with open(os.path.join(home, "chaos.toml"), "w", encoding="utf-8") as file:
                file.write(f'[notify]\ndeadline = "20s"\n{table}')
            with open(os.path.join(home, "url"), "w", encoding="utf-8") as file:
                file.write(f"http://127.0.0.1:{port}/hook")

        with open(os.path.join(home, "key"), "w", encoding="utf-8") as file:
            file.write("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        environment = {"HOME": home}

        def run(*args):
            done = subprocess.run([CHAOS_NOTIFY, *args], cwd=home, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, check=False, timeout=300)
            return [json.loads(line) for line in done.stdout.splitlines()]

        configure(port)
        said = run("aborted", "--reason", "shop is down")[-1]["data"]["channels"][0]["outcome"]
        later = Server(smtp("good") if kind == "mail" else http(GOOD))
        configure(later.port)
        run("flush")
        return said, later.taken


def apprise(kind, port, two):
    """What apprise says: by its exit status."""
    url = f"json://127.0.0.1:{port}/hook"
    if kind == "mail":
        to = "nobody@company.com,team@company.com" if two else "team@company.com"
        url = f"mailto://127.0.0.1:{port}?from=a@b.com&to={to}&mode=insecure"
    done = subprocess.run([APPRISE, "-b", "shop is down", url], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=300)
    return ("sent" if done.returncode == 0 else "failed"), 0


def case(entry):
    kind, name, make = entry
    row = {"channel": kind, "case": name}
    for tool, send in (("chaos-notify", chaos_notify), ("apprise", apprise)):
        server = Server(make())
        said, later = send(kind, server.port, name == "refuses one of two")
        taken = server.taken
        # Of two of whom one was refused, a bare "failed" is not much, and not wrong.
        some = name == "refuses one of two"
        right = {"sent": taken > 0, "partly": taken > 0, "failed": taken == 0 or some, "unknown": True}[said]
        row[tool] = {
            "said": said, "taken": taken, "later": later, "wrong": not right,
            "duplicates": max(0, taken + later - 1), "silent": said == "sent" and taken == 0,
        }
    return row


def main():
    cases = [("webhook", name, lambda answers=answers: http(*answers)) for name, answers in HTTP.items()]
    cases += [("mail", name, lambda name=name: smtp(name)) for name in SMTP]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(case, cases))
    print("| channel | the server | chaos-notify: said, taken, later | apprise: said, taken |")
    print("|---|---|---|---|")
    for row in rows:
        ours, theirs = row["chaos-notify"], row["apprise"]

        def mark(result):
            return " WRONG" if result["wrong"] or result["duplicates"] else ""

        print(f"| {row['channel']} | {row['case']} | {ours['said']}, {ours['taken']}, {ours['later']}{mark(ours)} "
              f"| {theirs['said']}, {theirs['taken']}{mark(theirs)} |")
    print(f"\n{len(rows)} misbehaviours")
    for tool in ("chaos-notify", "apprise"):
        count = {what: sum(int(row[tool][what]) for row in rows) for what in ("wrong", "duplicates", "silent")}
        later = sum(row[tool]["later"] for row in rows)
        unknown = sum(row[tool]["said"] == "unknown" for row in rows)
        print(f"{tool}: {count['wrong']} wrong, {count['duplicates']} duplicates, {count['silent']} silent losses, "
              f"{unknown} told as unknown, {later} sent later by itself")


main()
