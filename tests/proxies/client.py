"""A client that sends headers exactly as a test writes them, over one connection."""

import base64
import contextlib
import http.client
import os
import urllib.parse

from programs import Response
from proxies import HOST
from whoami import COOKIE


def session(cookie):
    """Returns the header of a browser with this session cookie."""
    return ("Cookie", f"{COOKIE}={cookie}")


@contextlib.contextmanager
def connected(proxy, timeout=60):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(proxy.url).netloc, timeout=timeout)
    with contextlib.closing(connection):
        yield connection


def exchange(connection, method, target, fields, body=None, chunks=None):
    """Returns the response to one request. `fields` can repeat names. `chunks` is a body without an announced length."""
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", HOST)
    for name, value in fields:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    if chunks is not None:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    # A proxy can reject a request before it has read the body.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if body is not None:
            connection.send(body)
        for chunk in chunks or ():
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if chunks is not None:
            connection.send(b"0\r\n\r\n")
    response = connection.getresponse()
    return Response(response.status, response.headers, response.read())


def request(proxy, fields=(), method="GET", target="/", **body):
    with connected(proxy) as connection:
        return exchange(connection, method, target, fields, **body)


def websocket(proxy, fields, message):
    """Returns the status of a WebSocket handshake, and what the upstream echoed if it succeeded."""
    handshake = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
    ]
    with connected(proxy) as connection:
        connection.putrequest("GET", "/socket", skip_host=True, skip_accept_encoding=True)
        for name, value in [("Host", HOST), *handshake, *fields]:
            connection.putheader(name, value)
        connection.endheaders()
        # The response would close the socket of a connection that it does not know to be upgraded.
        socket = connection.sock.dup()
        with contextlib.closing(socket):
            response = connection.getresponse()
            if response.status != 101:
                return response.status, None
            socket.sendall(message)
            echoed = b""
            while len(echoed) < len(message):
                piece = socket.recv(1 << 16)
                assert piece, f"the connection ended after {len(echoed)} bytes"
                echoed += piece
            return response.status, echoed
