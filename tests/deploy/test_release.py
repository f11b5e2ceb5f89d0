"""What `make release` lays out, made with a binary that is built already."""

import json
import tomllib

import pytest
from conftest import BINARY, ROOT, claimsmith, run
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "dist"
    run("make", "release", f"BINARY={BINARY}", f"DIST={folder}", cwd=ROOT)
    return folder


def test_the_manual_can_be_read(dist):
    pages = sorted(path.name for path in (dist / "usr" / "share" / "man" / "man1").iterdir())
    assert {"claimsmith.1", "claimsmith-serve.1", "claimsmith-keys-rotate.1"} <= set(pages)
    for page in pages:
        shown = run("man", "--warnings", "-P", "cat", "-l", dist / "usr" / "share" / "man" / "man1" / page)
        assert "SYNOPSIS" in shown.stdout and shown.stderr == "", page


def test_bash_completes_commands(dist):
    script = dist / "usr" / "share" / "bash-completion" / "completions" / "claimsmith"
    asked = 'source "$0"; COMP_WORDS=(claimsmith he); COMP_CWORD=1; _claimsmith claimsmith he claimsmith; '
    asked += 'echo "${COMPREPLY[@]}"'
    assert run("bash", "-c", asked, script).stdout.split() == ["health", "help"]
    for path in ("zsh/vendor-completions/_claimsmith", "fish/vendor_completions.d/claimsmith.fish"):
        assert "rotate" in (dist / "usr" / "share" / path).read_text()


def test_the_templates_are_all_there(dist):
    shipped = dist / "usr" / "share" / "claimsmith" / "templates"
    files = {path.relative_to(shipped) for path in shipped.rglob("*") if path.is_file()}
    assert files == {path.relative_to(ROOT / "templates") for path in (ROOT / "templates").rglob("*") if path.is_file()}


def test_the_list_of_components_names_what_is_linked():
    run("make", "sbom", cwd=ROOT)
    text = (ROOT / "target" / "claimsmith.cdx.json").read_text()
    assert str(ROOT) not in text
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    found = json.loads(text)
    assert (found["bomFormat"], found["metadata"]["component"]["name"]) == ("CycloneDX", "claimsmith")
    listed = {(component["name"], component["version"]) for component in found["components"]}
    locked = {
        (package["name"], package["version"]) for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    assert listed <= locked and all(component.get("licenses") for component in found["components"])
    references = {component["bom-ref"] for component in found["components"]}
    references.add(found["metadata"]["component"]["bom-ref"])
    for entry in found["dependencies"]:
        assert {entry["ref"], *entry.get("dependsOn", [])} <= references
    # The list includes OpenSSL's source, which is a build dependency, but no development dependencies.
    names = {name for name, _ in listed}
    assert {"openssl-src", "josekit", "actix-web"} <= names and not {"criterion", "proptest", "rcgen"} & names


def test_versions_agree():
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert claimsmith("--version").stdout == f"claimsmith {version}\n"
    for path in (
        "deploy/helm/claimsmith/Chart.yaml",
        "deploy/kubernetes/kustomization.yaml",
        "deploy/compose/compose.yaml",
    ):
        assert version in (ROOT / path).read_text(), path
