"""Programs that run during a test, on free loopback ports, and an HTTP client for them."""

import contextlib
import dataclasses
import http.client
import os
import pathlib
import random
import socket
import subprocess
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools" / "peers"
CLAIMSMITH = pathlib.Path(os.environ.get("BINARY", ROOT / "target" / "debug" / "claimsmith")).resolve()
STARTUP_SECONDS = 60

# A token of a large session is longer than the 64 KiB that http.client and http.server accept in a header line.
http.client._MAXLINE = 1 << 20


def free_port():
    """Returns a port that nothing listens on. It is below the range of outgoing connections, which could take it."""
    while True:
        port = random.randint(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition, what, seconds=STARTUP_SECONDS):
    """Returns the first truthy result of `condition`. A refused connection counts as false."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if result := condition():
                return result
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@contextlib.contextmanager
def running(command, directory, ready, environment=None):
    """Runs `command` in `directory` until the block ends. The block starts when `ready` returns true."""
    name = pathlib.Path(command[0]).name
    log = directory / f"{name}.log"
    # The tests configure the programs completely, so no variable of the caller may change them.
    prefixes = ("CLAIMSMITH_", "MUTATORS_", "AUTHENTICATORS_", "ACCESS_RULES_", "SERVE_", "DSN", "LOG_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    with log.open("a") as output:
        process = subprocess.Popen(
            # The kernel ends the program if the test run is killed.
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**inherited, "SQA_OPT_OUT": "true", **(environment or {})},
        )
    try:

        def is_ready():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{log.read_text()[-4000:]}"
            return ready()

        wait_until(is_ready, f"{name} starts, see {log}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(*command, directory, environment=None):
    """Returns the standard output of a command, which must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSMITH_")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        capture_output=True,
        text=True,
        env={**inherited, **(environment or {})},
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclasses.dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def call(url, method="GET", headers=None, body=None):
    """Returns the response to one request. Redirects are not followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    with contextlib.closing(connection):
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body=body, headers=headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())


def write(path, text):
    """Replaces the content of a file at once, as editors and deployment tools do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
    return path
