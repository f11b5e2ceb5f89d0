"""The chart with the real helm, which `make helm-test` builds: it renders the same objects as Helm's engine does here."""

import json
import os
import pathlib

import pytest
from conftest import documents, run
from rendering import CHART, NAMESPACE, VALUES, chart

HELM = pathlib.Path(os.environ.get("HELM", "helm-is-not-built"))
# A Helm that Go builds has no default version: only the build scripts of its releases set one.
TEMPLATE = (HELM, "template", "prod", CHART, "--kube-version", "1.34.0")
pytestmark = pytest.mark.skipif(not HELM.exists(), reason="make helm-test builds helm and sets HELM")


def ordered(objects):
    return sorted(objects, key=lambda found: (found["kind"], found["metadata"]["name"]))


@pytest.mark.parametrize("name", VALUES)
def test_helm_renders_the_same_objects(name, tmp_path):
    values = tmp_path / "values.json"
    values.write_text(json.dumps(VALUES[name]))
    run(HELM, "lint", "--strict", CHART, "--values", values)
    rendered = run(*TEMPLATE, "--namespace", NAMESPACE, "--values", values).stdout
    assert ordered(documents(rendered)) == ordered(chart(VALUES[name]))


def test_helm_refuses_values_that_the_schema_of_the_configuration_refuses(tmp_path):
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"config": {"profiles": {"id_token": {"isuer": "https://id.example.org/"}}}}))
    refused = run(*TEMPLATE, "--values", values, check=False)
    assert refused.returncode != 0 and "isuer" in refused.stderr, refused


def test_helm_names_the_values_that_replace_an_earlier_one(tmp_path):
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"networkPolicy": {"api": [{"podSelector": {}}]}}))
    refused = run(*TEMPLATE, "--values", values, check=False)
    assert refused.returncode != 0 and "networkPolicy.gateways" in refused.stderr, refused
