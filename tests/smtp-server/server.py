"""A mail server that keeps nothing and prints what it gets: server.py USER PASSWORD REFUSALS.

It prints `port N` once it serves, then one line of JSON per mail: sender, recipients, who signed in, and the mail. It
defers the first REFUSALS mails with 451.
"""

import asyncio
import json
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD, REFUSALS = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Handler:
    refusals = REFUSALS

    async def handle_DATA(self, server, session, envelope):
        if self.refusals > 0:
            self.refusals -= 1
            return "451 4.3.0 try again later"
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": session.auth_data.login.decode() if session.authenticated else None,
            "data": envelope.content.decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 2.0.0 accepted"


def authenticate(server, session, envelope, mechanism, data):
    is_known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_known, handled=False, auth_data=data)


async def serve():
    handler = Handler()
    options = dict(authenticator=authenticate, auth_require_tls=False, auth_required=bool(USER))
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, **options), "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(serve())
