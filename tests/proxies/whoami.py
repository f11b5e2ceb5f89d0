"""A scripted Kratos: `GET /sessions/whoami` and nothing else."""

import contextlib
import datetime
import http.cookies
import http.server
import json
import threading
import time
import uuid

COOKIE = "ory_kratos_session"


class Whoami(http.server.ThreadingHTTPServer):
    """Knows the sessions in `sessions` by their cookie.

    `delay` in seconds slows it down. `set_cookie` renews the cookie of a session.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reset()

    def reset(self):
        self.sessions = {}
        self.scripted = None
        self.set_cookie = None
        self.delay = 0
        self.calls = 0

    def responds(self, status, body, headers=None):
        """Makes every response this one."""
        self.scripted = (status, body, headers or {})

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def log_in(self, **changes):
        """Returns a new user: the value of the session cookie and the id of the identity."""
        now = datetime.datetime.now(datetime.UTC)
        identity = str(uuid.uuid4())
        session = {
            "id": str(uuid.uuid4()),
            "active": True,
            "expires_at": (now + datetime.timedelta(hours=1)).isoformat(),
            "authenticated_at": now.isoformat(),
            "issued_at": now.isoformat(),
            "authenticator_assurance_level": "aal1",
            "authentication_methods": [{"method": "password", "aal": "aal1", "completed_at": now.isoformat()}],
            "identity": {
                "id": identity,
                "schema_id": "person",
                "state": "active",
                "traits": {"email": f"{identity}@example.org"},
                "metadata_public": None,
            },
            "devices": [],
            **changes,
        }
        cookie = uuid.uuid4().hex
        self.sessions[cookie] = session
        return cookie, identity

    def log_out(self, cookie):
        del self.sessions[cookie]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.calls += 1
        time.sleep(server.delay)
        jar = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        session = server.sessions.get(jar[COOKIE].value) if COOKIE in jar else None
        if server.scripted:
            status, body, headers = server.scripted
        elif session:
            status, body, headers = 200, session, {"Set-Cookie": server.set_cookie} if server.set_cookie else {}
        else:
            status, body, headers = 401, {"error": {"code": 401, "status": "Unauthorized"}}, {}
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(text)

    def log_message(self, *_):
        """Writes nothing, because a test shows what it needs."""


@contextlib.contextmanager
def serving():
    with Whoami() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
