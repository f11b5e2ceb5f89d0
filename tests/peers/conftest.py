"""Fixtures: Kratos, and the upstream of Oathkeeper."""

import contextlib
import http.server
import json
import threading

import kratos as kratos_program
import migration as migration_program
import pytest


class Upstream(http.server.ThreadingHTTPServer):
    """A service behind Oathkeeper. It returns the path and the headers of each request, and counts requests.

    `fields` has the headers that a request repeats more than once.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Echo)
        self.count = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.count += 1
        body = json.dumps({"path": self.path, "headers": dict(self.headers), "fields": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Writes nothing, because a test shows what it needs."""


@contextlib.contextmanager
def echoing():
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def upstream():
    with echoing() as server:
        yield server


@pytest.fixture(scope="session")
def kratos(tmp_path_factory):
    with kratos_program.serving(tmp_path_factory.mktemp("kratos")) as service:
        yield service


@pytest.fixture(scope="session")
def users(kratos):
    """Returns a function that logs a user in once for each kind of credential."""
    known = {}

    def headers(credential, traits, metadata=None):
        key = json.dumps([credential, traits, metadata])
        if key not in known:
            user = kratos.create_user(traits, metadata)
            known[key] = user.log_in_with_browser() if credential == "cookie" else user.log_in_with_api()
        return known[key]

    return headers


@pytest.fixture
def migration(kratos, upstream, tmp_path):
    with migration_program.starting(kratos, upstream, tmp_path) as migration:
        yield migration
