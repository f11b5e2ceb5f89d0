"""The systemd units: by systemd's own words, and against what the binary does when it runs."""

import base64
import json
import re
import shutil
import subprocess
import time

import pytest
import yaml
from conftest import BINARY, DEPLOY, call, claimsmith, run, serving

UNITS = DEPLOY / "systemd"
NAMES = ["claimsmith.service", "claimsmith-rotate.service", "claimsmith-rotate.timer"]
# From 0 (nothing is exposed) to 10, times ten.
EXPOSURE = {"claimsmith.service": 12, "claimsmith-rotate.service": 3}
PASSWORD = "a-password-for-this-test-alone"


def settings(name):
    """The settings of a unit, each with all of its values."""
    found = {}
    for line in (UNITS / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_systemd_takes_every_unit(tmp_path):
    (tmp_path / "man" / "man1").mkdir(parents=True)
    claimsmith("man", "--out", tmp_path / "man" / "man1")
    for name in NAMES:
        text = (UNITS / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/local/bin/claimsmith", str(BINARY)))
    done = run("systemd-analyze", "verify", *(tmp_path / name for name in NAMES), env={"MANPATH": tmp_path / "man"})
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", EXPOSURE)
def test_little_is_exposed(name):
    run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE[name]}", UNITS / name)


def test_the_user_is_made(tmp_path):
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", UNITS / "claimsmith.sysusers")
    made = (tmp_path / "etc" / "passwd").read_text().split(":")
    unit = settings("claimsmith.service")
    assert [made[0], made[5]] == [unit["User"][0], "/var/lib/" + unit["StateDirectory"][0]]


def allowed(name):
    """The system calls that the unit's filters leave, as systemd expands them."""

    def expand(group):
        names = set()
        for line in run("systemd-analyze", "--no-pager", "syscall-filter", group).stdout.splitlines()[1:]:
            word = line.strip()
            if word.startswith("@"):
                names |= expand(word)
            elif word and not word.startswith("#"):
                names.add(word)
        return names

    found = set()
    for value in settings(name)["SystemCallFilter"]:
        for word in value.lstrip("~").split():
            names = expand(word) if word.startswith("@") else {word}
            found = found - names if value.startswith("~") else found | names
    # systemd allows these whatever a filter says.
    return found | expand("@default") | {"execve"}


def calls(trace):
    found = {}
    for line in trace.read_text(errors="replace").splitlines():
        if match := re.match(r"(?:\d+ +)?(\w+)\(", line):
            found.setdefault(match[1], []).append(line)
    return found


def check_calls(name, found, refused=()):
    """Every call is one that the unit allows, but for those that may be refused with EPERM."""
    beyond = {call: lines[0] for call, lines in found.items() if call not in allowed(name) | set(refused)}
    assert beyond == {}
    both = [
        line
        for call in ("mmap", "mprotect", "pkey_mprotect")
        for line in found.get(call, [])
        if "PROT_WRITE" in line and "PROT_EXEC" in line
    ]
    assert both == [], "MemoryDenyWriteExecute"
    families = {re.search(r"socket\((AF_\w+)", line)[1] for line in found.get("socket", [])}
    named = settings(name)["RestrictAddressFamilies"][0].split()
    assert families <= set(named), "RestrictAddressFamilies"


@pytest.fixture
def installed(tmp_path):
    """The shipped configuration with its key and its password, in a folder."""
    config = yaml.safe_load((UNITS / "claimsmith.yaml").read_text())
    unit = settings("claimsmith.service")
    credential = unit["LoadCredential"][0].split(":")[0]
    password = config["callers"][0]["basic"]["password_file"]
    assert password == f"/run/credentials/claimsmith.service/{credential}"
    assert (
        config["profiles"]["id_token"]["jwks"] == "file:///var/lib/" + unit["StateDirectory"][0] + "/id_token.jwks.json"
    )
    folder = tmp_path / "etc"
    shutil.copytree(DEPLOY.parent / "templates", folder / "templates")
    (folder / "password").write_text(PASSWORD)
    claimsmith("keys", "generate", "--alg", "RS256", "--out", folder / "id_token.jwks.json")
    text = (UNITS / "claimsmith.yaml").read_text()
    text = text.replace(password, str(folder / "password")).replace("/var/lib/claimsmith/", f"{folder}/")
    (folder / "claimsmith.yaml").write_text(text)
    return folder


def test_the_filters_fit_the_service(installed, session_text):
    """Serving, signing, the signal of ExecReload, a rotation and an orderly end need nothing that is refused."""
    config = installed / "claimsmith.yaml"
    # With the service's own rotation too, which writes into StateDirectory.
    config.write_text(config.read_text() + "rotation: { every: 720h, lead: 1h }\n")
    trace = installed.parent / "trace"
    credentials = base64.b64encode(f"oathkeeper:{PASSWORD}".encode()).decode()
    with serving(config, wrapper=["strace", "-f", "-qq", "-s", "64", "-o", trace]) as (api, admin, tracer):
        served = int(
            subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(tracer.pid)], check=True, capture_output=True, text=True
            ).stdout
        )
        status, text = call(f"{api}/hydrate/id_token", session_text, {"Authorization": f"Basic {credentials}"})
        assert status == 200, text
        run("/bin/kill", "-HUP", served)
        for _ in range(200):
            if len(json.loads(call(f"{api}/.well-known/jwks.json")[1])["keys"]) == 2:
                break
            time.sleep(0.1)
        assert len(json.loads(call(f"{api}/.well-known/jwks.json")[1])["keys"]) == 2, "no key was added"
        run("/bin/kill", "-TERM", served)
        assert tracer.wait(timeout=40) == 0
    found = calls(trace)
    assert {"accept4", "fsync", "flock"} <= found.keys(), "the trace has not seen what was done"
    check_calls("claimsmith.service", found, refused=["chown", "fchown", "fchownat", "lchown"])
    assert len(json.loads((installed / "id_token.jwks.json").read_text())["keys"]) == 2


def test_the_filters_fit_the_rotation(installed):
    unit = settings("claimsmith-rotate.service")
    path = "/var/lib/" + unit["StateDirectory"][0] + "/id_token.jwks.json"
    assert unit["ConditionPathExists"] == [path]
    words = (
        unit["ExecStart"][0]
        .replace(path, f"{installed}/id_token.jwks.json")
        .replace("/etc/claimsmith/", f"{installed}/")
        .split()
    )
    assert words[0] == "/usr/local/bin/claimsmith"
    trace = installed.parent / "trace"
    run("strace", "-f", "-qq", "-o", trace, BINARY, *words[1:])
    check_calls("claimsmith-rotate.service", calls(trace), refused=["chown", "fchown", "fchownat", "lchown"])
    assert len(json.loads((installed / "id_token.jwks.json").read_text())["keys"]) == 2


def test_the_check_of_filters_can_fail():
    with pytest.raises(AssertionError):
        check_calls("claimsmith.service", {"reboot": ["reboot(0)"]})
    with pytest.raises(AssertionError):
        check_calls("claimsmith.service", {"mmap": ["mmap(NULL, 1, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_ANONYMOUS)"]})
    with pytest.raises(AssertionError):
        check_calls("claimsmith-rotate.service", {"socket": ["socket(AF_INET, SOCK_STREAM, 0)"]})
