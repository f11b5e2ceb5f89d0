"""The compose files with a proxy each: their configuration is the tested one of docs/proxies, and the parts fit each other."""

import json
import os
import pathlib
import re
import shutil
import sys

import jsonschema
import pytest
import referencing
import schemas
import yaml
from conftest import DEPLOY, ROOT, claimsmith, make_key, run

sys.path += [str(ROOT / "tests" / "proxies"), str(ROOT / "tests" / "peers")]
import pages  # noqa: E402

COMPOSE = DEPLOY / "compose" / "proxies"
PROXIES = sorted(path.stem for path in COMPOSE.glob("*.yaml") if path.stem != "compose")
# Files of a page that are parts of another file, and files that init.sh writes with the secret.
PARTS = {"claimsmith-secret.conf", "route.yaml", "tls.yaml"}
GENERATED = {"claimsmith-secret.conf", "envoy.yaml", "envoy-grpc.yaml"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy with secrets of its own."""
    folder = tmp_path_factory.mktemp("deploy") / "proxies"
    shutil.copytree(COMPOSE, folder, ignore=shutil.ignore_patterns(".env", "secrets"))
    run("sh", folder / "init.sh")
    return folder


@pytest.fixture(params=PROXIES)
def project(request, folder):
    files = ["--file", folder / "compose.yaml", "--file", folder / f"{request.param}.yaml"]
    return request.param, json.loads(run("docker-compose", *files, "config", "--format", "json").stdout)


def mounts(service):
    return {volume["target"]: pathlib.Path(volume["source"]) for volume in service.get("volumes", []) if volume["type"] == "bind"}


def test_files_are_those_of_the_pages():
    """With UPDATE_DOCS=1, they are written from the pages."""
    assert {f"{name}.md" for name in PROXIES} <= {path.name for path in pages.PAGES.glob("*.md")}
    for name in PROXIES:
        documented = {found["name"]: found["text"] for found in pages.BLOCK.finditer((pages.PAGES / f"{name}.md").read_text())}
        documented = {file: text for file, text in documented.items() if file not in PARTS}
        folder = COMPOSE / name
        if os.environ.get("UPDATE_DOCS") == "1":
            for file, text in documented.items():
                (folder / file).write_text(text)
        assert {path.name: path.read_text() for path in folder.iterdir()} == documented, name


def test_secrets_are_made_once_and_for_the_containers_only(folder):
    files = [folder / ".env", *(folder / "secrets").iterdir()]
    before = {path: path.read_text() for path in files}
    values = dict(line.split("=") for line in before[folder / ".env"].splitlines())
    assert len(set(values.values())) == 5 and all(len(value) == 32 for value in values.values())
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600 and (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in files} == {".env", "claimsmith", *GENERATED}
    for path in (folder / "secrets").iterdir():
        assert before[path].count(values["CALLER_SECRET"]) == 1 and path.stat().st_mode & 0o777 == 0o444
    for name in ("envoy", "envoy-grpc"):
        documented = pages.text(f"{name}.md", "envoy.yaml").replace("the-secret", values["CALLER_SECRET"])
        assert before[folder / "secrets" / f"{name}.yaml"] == documented
    documented = pages.text("nginx.md", "claimsmith-secret.conf").replace("the-secret", values["CALLER_SECRET"])
    assert before[folder / "secrets" / "claimsmith-secret.conf"] == documented
    run("sh", folder / "init.sh")
    assert {path: path.read_text() for path in files} == before


def test_without_secrets_nothing_starts():
    assert not (COMPOSE / ".env").exists()
    files = ["--file", COMPOSE / "compose.yaml", "--file", COMPOSE / "nginx.yaml"]
    refused = run("docker-compose", *files, "config", "--quiet", check=False)
    assert refused.returncode != 0 and "run init.sh first" in refused.stderr


def test_only_proxy_login_and_mail_are_published(project):
    services = project[1]["services"]
    ports = {(name, port["published"]) for name, service in services.items() for port in service.get("ports", [])}
    assert all(port["host_ip"] == "127.0.0.1" for service in services.values() for port in service.get("ports", []))
    assert ports == {("proxy", "80"), ("kratos", "4433"), ("kratos-ui", "4435"), ("mailslurper", "4436"), ("mailslurper", "4437")}
    assert all(service.keys() & {"networks", "network_mode"} for service in services.values())


def test_image_is_the_tested_version(project):
    name, project = project
    version = project["services"]["proxy"]["image"].rpartition(":")[2].removeprefix("v")
    assert re.search(rf"^`make proxies` runs \w+ {re.escape(version)} ", (pages.PAGES / f"{name}.md").read_text(), re.MULTILINE)
    guide = (pages.PAGES / "README.md").read_text()
    assert re.search(rf"^\| \[[^]]+\]\({name}\.md\) .* {re.escape(version)} \|$", guide, re.MULTILINE), "the guide"


def test_proxy_finds_its_files_and_services(project):
    name, project = project
    services = project["services"]
    files = mounts(services["proxy"])
    secrets = {"/run/secrets/" + secret["source"] for secret in services["proxy"].get("secrets", [])}
    text = ""
    for target, source in files.items():
        assert source.is_file(), source
        text += source.read_text()
    for path in re.findall(r"/(?:etc|run)/[\w./-]+", text):
        assert path in files or path in secrets, path
    reached = {"claimsmith:4479" if name == "envoy-grpc" else "claimsmith:4477": "claimsmith", "app:8080": "app"}
    for address, service in reached.items():
        host, port = address.split(":")
        assert address in text or re.search(rf"address: {host}, port_value: {port}\b", text), address
        assert services[service]["networks"].keys() == services["proxy"]["networks"].keys()
    assert services["app"]["command"] == ["--port", "8080"]
    for secret in project.get("secrets", {}).values():
        assert pathlib.Path(secret["file"]).is_file()
    where = {"nginx": "/etc/nginx/conf.d/default.conf", "haproxy": "/usr/local/etc/haproxy/haproxy.cfg"}
    where |= {"traefik": "/etc/traefik/traefik.yaml", "caddy": "/etc/caddy/Caddyfile", **dict.fromkeys(("envoy", "envoy-grpc"), "/etc/envoy/envoy.yaml")}
    assert where[name] in files, "the image reads another file"


def test_claimsmith_accepts_its_configuration(project, folder, tmp_path):
    name, project = project
    service = project["services"]["claimsmith"]
    source = mounts(service)["/etc/claimsmith/claimsmith.yaml"]
    assert {volume["target"] for volume in service["volumes"]} == {"/etc/claimsmith/claimsmith.yaml", "/etc/claimsmith/keys"}
    config = tmp_path / "claimsmith.yaml"
    secret = tmp_path / "secret"
    shutil.copy(folder / "secrets" / "claimsmith", secret)
    secret.chmod(0o600)
    config.write_text(source.read_text().replace("/run/secrets/claimsmith", str(secret)))
    assert ("/run/secrets/claimsmith" in source.read_text()) == bool(service.get("secrets"))
    make_key(tmp_path / "keys" / "id_token.jwks.json")
    keys = project["services"]["keys"]
    assert keys["command"][-2] == "/var/lib/claimsmith/id_token.jwks.json"
    assert keys["volumes"][0]["source"] == next(volume["source"] for volume in service["volumes"] if volume["type"] == "volume")
    environment = dict(service["environment"])
    assert environment.pop("CLAIMSMITH_TEMPLATES") == "/usr/share/claimsmith/templates"
    environment["CLAIMSMITH_TEMPLATES"] = str(ROOT / "templates")
    checked = claimsmith("check", "--config", config, env=environment)
    assert checked.stdout.startswith("ok: "), checked
    kratos = yaml.safe_load((COMPOSE / "kratos" / "kratos.yml").read_text())
    login = environment["CLAIMSMITH_CHECKS_WEB_LOGIN"]
    assert login == kratos["serve"]["public"]["base_url"] + "self-service/login/browser"
    assert [environment["CLAIMSMITH_CHECKS_WEB_ORIGINS"]] == kratos["selfservice"]["allowed_return_urls"]
    domain = kratos["cookies"]["domain"]
    hosts = re.findall(r"^ *127\.0\.0\.1 (.*)$", (COMPOSE / "README.md").read_text(), re.MULTILINE)[0].split()
    assert all(host.endswith("." + domain) for host in hosts) and len(hosts) == 2
    if name == "traefik":
        address = project["services"]["proxy"]["networks"]["edge"]["ipv4_address"]
        assert environment["CLAIMSMITH_CALLERS_0_NETWORKS"] == address


def test_kratos_login_is_where_browsers_reach_it(project):
    services = project[1]["services"]
    text = (COMPOSE / "kratos" / "kratos.yml").read_text()
    kratos = yaml.safe_load(text)
    assert services["kratos-ui"]["environment"]["KRATOS_BROWSER_URL"] == kratos["serve"]["public"]["base_url"].rstrip("/")
    pages_of_ui = re.findall(r"ui_url: \"?(http://[^/]+)/", text)
    assert len(pages_of_ui) == 6 and set(pages_of_ui) == {"http://id.example.org:" + services["kratos-ui"]["environment"]["PORT"]}
    assert "secrets" not in kratos and "dsn" not in kratos
    assert (COMPOSE / "kratos" / "identity.schema.json").read_bytes() == (
        DEPLOY / "compose" / "kratos" / "identity.schema.json"
    ).read_bytes()


@pytest.mark.parametrize("path", ["kratos/kratos.yml", "proxies/kratos/kratos.yml"])
def test_configuration_of_kratos_fits_its_schema(path):
    schema = schemas.DOWNLOADED / "config.schema.json"
    if not schema.exists():
        pytest.skip("`make gateway-test` downloads the schemas")
    # The one part in another document is about traces, which the files do not configure.
    other = referencing.Resource.from_contents({"$schema": "http://json-schema.org/draft-07/schema#"})
    registry = referencing.Registry(retrieve=lambda _: other)
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()), registry=registry)
    kratos = yaml.safe_load((DEPLOY / "compose" / path).read_text())
    # Compose passes these as environment variables.
    kratos |= {"dsn": "sqlite:///db.sqlite", "secrets": {"cookie": ["x" * 32], "cipher": ["x" * 32]}}
    assert [error.message for error in validator.iter_errors(kratos)] == []
    for section in ("serve", "selfservice", "identity", "courier"):
        wrong = {**kratos, section: {**kratos[section], "misspelt": True}}
        assert list(validator.iter_errors(wrong)), section
    version = (DEPLOY / "compose" / path).parents[1] / "compose.yaml"
    assert f"oryd/kratos:{schemas.MODULES['github.com/ory/kratos'][0]}\n" in version.read_text()
