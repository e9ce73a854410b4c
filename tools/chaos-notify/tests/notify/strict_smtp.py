"""A mail server for tests: TLS and a login are required, and EHLO must give a full name or an address.

usage: server.py starttls|tls CERTIFICATE PASSWORD

Tells its port on standard output. Each mail becomes a file in ./mails.
"""
import asyncio
import os
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FULL = re.compile(r"^(\[[0-9A-Fa-f.:]+\]|\[IPv6:[0-9A-Fa-f.:]+\]|([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+)$")


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        if not FULL.match(hostname):
            return ["550 EHLO wants a full name"]
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server, session, envelope):
        os.makedirs("mails", exist_ok=True)
        login = session.auth_data.login.decode() if session.auth_data else None
        head = f"X-Session: tls={session.ssl is not None or IMPLICIT} login={login}\r\n"
        name = os.path.join("mails", str(len(os.listdir("mails"))))
        with open(name, "wb") as file:
            file.write(head.encode() + envelope.content)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.password.decode() == PASSWORD
    return AuthResult(success=good, handled=False, auth_data=data)


MODE, CERTIFICATE, PASSWORD = sys.argv[1:]
IMPLICIT = MODE == "tls"


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE + ".pem", CERTIFICATE + ".key")

    def session():
        settings = dict(authenticator=authenticate, auth_required=True, hostname="mail.company.com")
        if IMPLICIT:
            return SMTP(Handler(), auth_require_tls=False, **settings)
        return SMTP(Handler(), tls_context=context, require_starttls=True, **settings)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if IMPLICIT else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
