"""The compose file: as Docker Compose reads it, and what claimsmith does with the files that it mounts."""

import base64
import json
import os
import shutil

import pytest
import yaml
from conftest import DEPLOY, ROOT, call, claimsmith, run, serving

COMPOSE = DEPLOY / "compose"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy with secrets of its own."""
    folder = tmp_path_factory.mktemp("deploy") / "compose"
    shutil.copytree(COMPOSE, folder, ignore=shutil.ignore_patterns(".env"))
    run("sh", folder / "init.sh")
    return folder


@pytest.fixture(scope="module")
def project(folder):
    return json.loads(run("docker-compose", "--file", folder / "compose.yaml", "config", "--format", "json").stdout)


def test_secrets_are_made_once_and_for_nobody_else(folder):
    before = (folder / ".env").read_text()
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    values = [line.partition("=")[2] for line in before.splitlines()]
    assert len(values) == len(set(values)) == 5 and all(len(value) == 32 for value in values)
    run("sh", folder / "init.sh")
    assert (folder / ".env").read_text() == before


def test_without_secrets_nothing_starts():
    assert not (COMPOSE / ".env").exists()
    refused = run("docker-compose", "--file", COMPOSE / "compose.yaml", "config", "--quiet", check=False)
    assert refused.returncode != 0 and "run init.sh first" in refused.stderr


def test_one_door_is_open(project):
    ports = [(name, port) for name, service in project["services"].items() for port in service.get("ports", [])]
    assert all(port["host_ip"] == "127.0.0.1" for _, port in ports)
    assert {name for name, _ in ports} == {"oathkeeper", "mailslurper"}
    for name, service in project["services"].items():
        for volume in service.get("volumes", []):
            source = volume["source"]
            assert volume["type"] == "volume" and source in project["volumes"] or os.path.isdir(source), (name, source)
        for other, condition in service.get("depends_on", {}).items():
            assert other in project["services"]
            assert condition["condition"] != "service_healthy" or other == "claimsmith", (
                "the one image with a health check"
            )
    build = project["services"]["keys"]["build"]
    assert (COMPOSE / "../.." / build["dockerfile"]).resolve() == DEPLOY / "docker" / "Dockerfile"


def test_what_oathkeeper_is_told_fits_what_claimsmith_serves(project, folder, tmp_path, session_text):
    services = project["services"]
    oathkeeper = yaml.safe_load((COMPOSE / "oathkeeper" / "oathkeeper.yml").read_text())
    rules = yaml.safe_load((COMPOSE / "oathkeeper" / "access-rules.yml").read_text())
    for rule in rules:
        for kind, handlers in (
            ("authenticators", rule["authenticators"]),
            ("authorizers", [rule["authorizer"]]),
            ("mutators", rule["mutators"]),
        ):
            assert all(oathkeeper[kind][handler["handler"]]["enabled"] for handler in handlers), rule["id"]
        host = rule["upstream"]["url"].removeprefix("http://").split(":")[0]
        assert host in services, rule["id"]

    # The key is made as the service `keys` makes it, twice as at a second start.
    config = tmp_path / "etc" / "claimsmith.yaml"
    keys = tmp_path / "keys"
    keys.mkdir()
    command = [
        str(keys / part.rpartition("/")[2]) if part.startswith("/var/lib/claimsmith/") else part
        for part in services["keys"]["command"]
    ]
    for _ in range(2):
        claimsmith(*command)
    shutil.copytree(COMPOSE / "claimsmith", config.parent)
    text = config.read_text().replace("/var/lib/claimsmith/", f"{keys}/")
    config.write_text(text.replace("/usr/share/claimsmith/templates", str(ROOT / "templates")))
    environment = services["claimsmith"]["environment"]
    assert claimsmith("check", "--config", config, env=environment).stdout.startswith("ok: 2 profile(s)")

    basic = oathkeeper["mutators"]["hydrator"]["config"]["api"]["auth"]["basic"]
    password = services["oathkeeper"]["environment"]["MUTATORS_HYDRATOR_CONFIG_API_AUTH_BASIC_PASSWORD"]
    credentials = {"Authorization": "Basic " + base64.b64encode(f"{basic['username']}:{password}".encode()).decode()}
    hydrators = [mutator for rule in rules for mutator in rule["mutators"] if mutator["handler"] == "hydrator"]
    urls = {mutator.get("config", oathkeeper["mutators"]["hydrator"]["config"])["api"]["url"] for mutator in hydrators}
    assert len(urls) == 2 and all(url.startswith("http://claimsmith:4477/") for url in urls)
    with serving(config, environment) as (api, _, _):
        for url in urls:
            path = url.removeprefix("http://claimsmith:4477")
            assert call(api + path, session_text)[0] == 401
            status, text = call(api + path, session_text, credentials)
            assert status == 200, text
            token = json.loads(text)["header"]["Authorization"][0].removeprefix("Bearer ")
            claimsmith("verify", token, "--jwks", f"{api}/.well-known/jwks.json", "--issuer", "http://127.0.0.1:4455/")
    keys_rule = next(rule for rule in rules if rule["id"] == "claimsmith:keys")
    assert keys_rule["match"]["methods"] == ["GET"] and keys_rule["match"]["url"].endswith("/.well-known/jwks.json")


def test_kratos_is_told_the_door(project):
    kratos = yaml.safe_load((COMPOSE / "kratos" / "kratos.yml").read_text())
    assert (
        kratos["serve"]["public"]["base_url"].rstrip("/")
        == project["services"]["kratos-ui"]["environment"]["KRATOS_BROWSER_URL"]
    )
    assert "secrets" not in kratos and "dsn" not in kratos
    schema = json.loads((COMPOSE / "kratos" / "identity.schema.json").read_text())
    mounted = {volume["target"] for volume in project["services"]["kratos"]["volumes"]}
    path = kratos["identity"]["schemas"][0]["url"].removeprefix("file://")
    assert path.rpartition("/")[0] in mounted and (COMPOSE / "kratos" / path.rpartition("/")[2]).is_file()
    # What the templates ask for is what a person here has.
    assert "email" in schema["properties"]["traits"]["required"]
