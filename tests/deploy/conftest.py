"""What every check of the shipped files needs: the files, the tools beside this Python, and the real binary."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BINARY = pathlib.Path(os.environ.get("BINARY", ROOT / "target" / "debug" / "claimsmith")).resolve()
TOOLS = pathlib.Path(sys.executable).parent


def run(*command, check=True, **options):
    """Runs a command with the tools first in its path, and without this process's CLAIMSMITH_ variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSMITH_")}
    environment["PATH"] = f"{TOOLS}:{environment['PATH']}"
    environment.update(options.pop("env", {}))
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, **options)
    if check:
        assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def claimsmith(*arguments, **options):
    return run(BINARY, *arguments, **options)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def make_key(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    claimsmith("keys", "generate", "--alg", "RS256", "--out", path)


@contextlib.contextmanager
def serving(config, environment=None, wrapper=()):
    """The addresses (api, admin) of a service with this configuration, on free loopback ports; and its process."""
    listeners = ["API", "ADMIN"]
    if ((yaml.safe_load(config.read_text()) or {}).get("serve") or {}).get("grpc"):
        listeners.append("GRPC")
    places = {
        f"CLAIMSMITH_SERVE_{name}_{part}": value
        for name in listeners
        for part, value in (("HOST", "127.0.0.1"), ("PORT", "0"))
    }
    log = log_of(config)
    with log.open("w") as stderr:
        service = subprocess.Popen(
            [*wrapper, BINARY, "serve", "--config", config],
            stderr=stderr,
            env={**os.environ, **places, "CLAIMSMITH_LOG_FORMAT": "json", **(environment or {})},
        )
    try:
        yield *addresses(service, log), service
        assert service.poll() in (None, 0), f"the service ended: {log.read_text()[-2000:]}"
    finally:
        service.terminate()
        service.wait(timeout=40)


def log_of(config):
    return config.parent.parent / f"{config.parent.name}.log"


def serving_event(log):
    """The line that names the addresses, if it is there."""
    events = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return next((event for event in events if event["message"] == "serving"), None)


def addresses(service, log):
    for _ in range(400):
        if event := serving_event(log):
            return f"http://{event['api']}", f"http://{event['admin']}"
        if service.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"the service did not start: {log.read_text()}")


def call(url, body=None, headers=None):
    """Status and text of a GET, or of a POST of `body`."""
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="session")
def session_text():
    """A recorded session, as Oathkeeper posts it."""
    return (ROOT / "templates" / "session" / "kratos.session.json").read_bytes()
