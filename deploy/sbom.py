#!/usr/bin/env python3
"""sbom.py TARGET FEATURES: prints a CycloneDX 1.5 document of what the release binary for TARGET is built from.

The document lists normal and build dependencies. Build dependencies are included because OpenSSL's source is one
(`openssl-src`). `cargo metadata` also contains what only tests enable, so `cargo tree` decides which crates are kept.
Run it in the root directory of the repository. It needs cargo and the standard library only.
"""

import datetime
import json
import os
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def license_of(package):
    """Returns the license as CycloneDX writes it. Old manifests separate alternatives by a slash."""
    if package["license"]:
        return [{"expression": package["license"].replace("/", " OR ")}]
    return [{"license": {"name": f"file {package['license_file']}"}}] if package["license_file"] else []


def component(package, checksums):
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required",
        "purl": purl(package),
    }
    if package["description"]:
        entry["description"] = " ".join(package["description"].split())
    if licenses := license_of(package):
        entry["licenses"] = licenses
    if checksum := checksums.get((package["name"], package["version"])):
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if repository := package["repository"]:
        entry["externalReferences"] = [{"type": "vcs", "url": repository}]
    return entry


def document(target, features):
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    selection = ["--locked", "--target", target, "--no-default-features", "--features", features]
    tree = cargo("tree", *selection, "--edges", "normal,build", "--prefix", "none", "--format", "{p}")
    kept = {tuple(line.split()[:2]) for line in tree.splitlines() if line}

    packages = {package["id"]: package for package in metadata["packages"]}
    kept_ids = {
        identifier
        for identifier, package in packages.items()
        if (package["name"], f"v{package['version']}") in kept
    }
    locked = tomllib.loads(Path("Cargo.lock").read_text())["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked}

    edges = {}
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in kept_ids:
            kinds = {dep["pkg"]: {kind["kind"] for kind in dep["dep_kinds"]} for dep in node["deps"]}
            wanted = {pkg for pkg, kind in kinds.items() if pkg in kept_ids and kind != {"dev"}}
            edges[purl(packages[node["id"]])] = sorted(purl(packages[pkg]) for pkg in wanted)

    root = packages[metadata["resolve"]["root"]]
    time = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.UTC)
    libraries = sorted(kept_ids - {root["id"]}, key=lambda identifier: purl(packages[identifier]))
    components = [component(packages[identifier], checksums) for identifier in libraries]
    content = {
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {**component(root, checksums), "type": "application"},
            "properties": [
                {"name": "cargo:target", "value": target},
                {"name": "cargo:features", "value": features},
            ],
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": edges[ref]} for ref in sorted(edges)],
    }
    # A serial number made from the content, because the same release must give the same bytes.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{serial}", "version": 1, **content}


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: sbom.py TARGET FEATURES")
    json.dump(document(*sys.argv[1:]), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
