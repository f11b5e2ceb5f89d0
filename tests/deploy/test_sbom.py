"""The list of what the binary is made of, as `make sbom` makes it."""

import json
import tomllib

from conftest import ROOT, run


def test_the_list_names_what_is_linked():
    run("make", "sbom", cwd=ROOT)
    text = (ROOT / "target" / "claimsmith.cdx.json").read_text()
    assert str(ROOT) not in text
    found = json.loads(text)
    assert (found["bomFormat"], found["metadata"]["component"]["name"]) == ("CycloneDX", "claimsmith")
    listed = {(component["name"], component["version"]) for component in found["components"]}
    locked = {(package["name"], package["version"]) for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    assert listed <= locked and all(component.get("licenses") for component in found["components"])
    # OpenSSL itself is among them; what only tests need is not.
    names = {name for name, _ in listed}
    assert {"openssl-src", "josekit", "actix-web"} <= names and "proptest" not in names
