"""A service behind a proxy. It records every request, with each header as it came."""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclasses.dataclass
class Request:
    method: str
    path: str
    fields: list
    length: int
    digest: str

    def values(self, name):
        """Returns the values of every header that a CGI program could read as `name`.

        Such a program replaces each character that is neither a letter nor a digit with an underscore (RFC 3875, section 4.1.18).
        """
        return [value for other, value in self.fields if cgi(other) == cgi(name)]

    @property
    def token(self):
        """Returns the only token of the request."""
        (value,) = self.values("Authorization")
        scheme, _, token = value.partition(" ")
        assert scheme == "Bearer", scheme
        return token


def cgi(name):
    return re.sub("[^A-Z0-9]", "_", name.upper())


class Upstream(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Recorder)
        self.requests = []

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Writes nothing, because proxies close connections as they like."""


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        digest, length = hashlib.sha256(), 0
        for chunk in self.chunks():
            digest.update(chunk)
            length += len(chunk)
        request = Request(self.command, self.path, self.headers.items(), length, digest.hexdigest())
        self.server.requests.append(request)
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo_websocket()
        else:
            body = json.dumps({"length": length, "token": self.headers.get("Authorization")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = respond

    def chunks(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        left = int(self.headers.get("Content-Length", 0))
        while left:
            chunk = self.rfile.read(min(left, 1 << 16))
            assert chunk, "the body ended early"
            left -= len(chunk)
            yield chunk

    def echo_websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + WEBSOCKET_GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while data := self.connection.recv(1 << 16):
                self.connection.sendall(data)

    def log_message(self, *_):
        """Writes nothing, because a test shows what it needs."""


@contextlib.contextmanager
def recording():
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
