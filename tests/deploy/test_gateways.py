"""The manifests for gateways: against published schemas, against each other, and what they make of claimsmith's answers."""

import contextlib
import copy
import dataclasses
import json
import re
import sys

import gateways
import jsonschema
import kubernetes_validate
import pytest
import schemas
import yaml
from conftest import ROOT, claimsmith, log_of, serving, serving_event
from rendering import EXAMPLES, NAMESPACE, chart, materialise, of_kind

sys.path.append(str(ROOT / "tests" / "proxies"))
import whoami  # noqa: E402

PREFIX = "nginx.ingress.kubernetes.io/"
# Mappings whose keys are chosen by the user.
FREE = {
    "annotations",
    "context",
    "data",
    "headersToAdd",
    "includeAdditionalHeadersInCheck",
    "matchLabels",
}


@pytest.fixture(scope="session")
def definitions():
    return schemas.definitions()


OBJECTS = [
    pytest.param(found, id=f"{name}-{found['kind']}-{found['metadata']['name']}")
    for name in gateways.NAMES
    for found in gateways.manifest(name)
]


def validate(found, definitions):
    """Raises if an API server with the custom resources would reject the object, or remove a field."""
    group = found["apiVersion"].partition("/")[0]
    if group in ("v1", "networking.k8s.io"):
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
        named = found["metadata"].get("annotations", {})
        annotations = {name.removeprefix(PREFIX): value for name, value in named.items()}
        schema = json.loads((ROOT / "tests" / "deploy" / "schemas" / "ingress-nginx.json").read_text())
        jsonschema.validate(annotations, schema)
        return
    definition = definitions.get((found["apiVersion"], found["kind"]))
    if definition is None and not schemas.DOWNLOADED.exists():
        pytest.skip("`make gateway-test` downloads the schemas")
    definition.validate(found)


REJECTED = (schemas.Invalid, kubernetes_validate.ValidationError, jsonschema.ValidationError)


@pytest.mark.parametrize("found", OBJECTS)
def test_manifest_fits_published_schema(found, definitions):
    validate(found, definitions)


def misspellings(value, path=()):
    """Yields a copy of the value for each key, with this key misspelt, and the path of the key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for found, changed in misspellings(inner, (*path, key)):
                yield found, {**value, key: changed}
            if not path or path[-1] not in FREE:
                yield (*path, key), {(f"{key}x" if name == key else name): part for name, part in value.items()}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for found, changed in misspellings(inner, (*path, index)):
                yield found, [*value[:index], changed, *value[index + 1 :]]


@pytest.mark.parametrize("found", OBJECTS)
def test_each_misspelt_field_is_rejected(found, definitions):
    validate(found, definitions)
    checked = 0
    for path, spec in misspellings(found.get("spec", {})):
        with pytest.raises(REJECTED):
            validate({**found, "spec": spec}, definitions)
            pytest.fail(f"{path} can be misspelt")
        checked += 1
    for name in found["metadata"].get("annotations", {}):
        changed = copy.deepcopy(found)
        changed["metadata"]["annotations"][f"{name}x"] = changed["metadata"]["annotations"].pop(name)
        with pytest.raises(REJECTED):
            validate(changed, definitions)
        checked += 1
    assert checked or found["kind"] == "ConfigMap"


def test_rules_of_schemas_are_evaluated(definitions):
    """A policy for a Service instead of a route fits the types of the schema, but not its rules."""
    policy = gateways.of_kind(gateways.manifest("envoy-gateway"), "SecurityPolicy")
    policy["spec"]["targetRefs"] = [{"group": "gateway.networking.k8s.io", "kind": "Service", "name": "app"}]
    with pytest.raises(schemas.Invalid, match="TCPRoute"):
        validate(policy, definitions)


def test_mesh_configuration_of_istio_has_known_fields():
    path = schemas.DOWNLOADED / "config.proto"
    if not path.exists():
        pytest.skip("`make gateway-test` downloads the schemas")
    definition = schemas.of_proto(path.read_text(), "MeshConfig")
    values = yaml.safe_load((gateways.FOLDER / "istio-mesh.yaml").read_text())
    assert values.keys() == {"meshConfig"}
    definition.validate(values["meshConfig"])
    paths = list(misspellings(values["meshConfig"]))
    assert len(paths) > 12
    for path, changed in paths:
        with pytest.raises(schemas.Invalid):
            definition.validate(changed)
            pytest.fail(f"{path} can be misspelt")


@pytest.mark.parametrize("name", gateways.NAMES)
def test_manifest_names_service_and_namespaces_that_exist(name):
    """The Service of the chart, and a ReferenceGrant for each reference to another namespace."""
    objects = gateways.manifest(name)
    question = gateways.question(name)
    target = "grpc" if question.context else "api"
    services = of_kind(chart(EXAMPLES[gateways.values(name)]), "Service")
    (service,) = (found for found in services if found["spec"]["ports"][0]["targetPort"] == target)
    host = f"{service['metadata']['name']}.{NAMESPACE}.svc.cluster.local"
    port = service["spec"]["ports"][0]["port"]
    assert question.url.startswith(f"{'grpc' if question.context else 'http'}://{host}:{port}/")
    references = [found for found in objects if found["kind"] in ("SecurityPolicy", "GatewayExtension")]
    grants = [found for found in objects if found["kind"] == "ReferenceGrant"]
    assert len(references) == len(grants)
    for reference, grant in zip(references, grants):
        assert grant["metadata"]["namespace"] == NAMESPACE
        group, kind = reference["apiVersion"].partition("/")[0], reference["kind"]
        assert grant["spec"]["from"] == [{"group": group, "kind": kind, "namespace": reference["metadata"]["namespace"]}]
        assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": service["metadata"]["name"]}]
    for policy in (found for found in objects if "targetRefs" in found.get("spec", {})):
        for target in policy["spec"]["targetRefs"]:
            route = gateways.of_kind(objects, target["kind"])
            assert (route["metadata"]["name"], route["metadata"]["namespace"]) == (target["name"], policy["metadata"]["namespace"])


@pytest.mark.parametrize("name", ["gateway-grpc", "gateway-networks", "gateway-secret"])
def test_network_policy_lets_claimsmith_reach_kratos(name):
    policy = next(found for found in of_kind(chart(EXAMPLES[name]), "NetworkPolicy") if not found["metadata"]["name"].endswith("-rotate"))
    ports = {(port["protocol"], port["port"]) for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {("UDP", 53), ("TCP", 53), ("TCP", 4433)} == ports
    assert all(peer.keys() == {"namespaceSelector", "podSelector"} for rule in policy["spec"]["egress"] for peer in rule["to"])
    peers = policy["spec"]["ingress"][0]["from"]
    assert all("namespaceSelector" in peer or name == "gateway-secret" for peer in peers), "an address proves little"


@pytest.fixture(scope="module")
def kratos():
    with whoami.serving() as kratos:
        yield kratos


@pytest.fixture(scope="module")
def running(kratos, tmp_path_factory):
    """Returns the API of a claimsmith for each of the example values, with the stand-in for Kratos."""
    places = {"http://kratos-public.identity.svc.cluster.local:80": f"http://{kratos.address}", "10.244.0.0/16": "127.0.0.1"}
    with contextlib.ExitStack() as stack:
        addresses = {}
        for name in sorted({gateways.values(name) for name in gateways.NAMES}):
            config = materialise(chart(EXAMPLES[name]), tmp_path_factory.mktemp(name) / "etc")
            text = config.read_text()
            for documented, actual in places.items():
                text = text.replace(documented, actual)
            config.chmod(0o600)
            config.write_text(text)
            addresses[name] = stack.enter_context(serving(config))[0]
            addresses[name, "grpc"] = serving_event(log_of(config)).get("grpc")
        yield addresses


@pytest.fixture(params=gateways.NAMES)
def gateway(request, running):
    question, values = gateways.question(request.param), gateways.values(request.param)
    return question, running[values, "grpc"] if question.context else running[values]


@pytest.fixture
def jwks(request, running):
    """Returns the URL of the public keys of the gateway's claimsmith."""
    return running[gateways.values(request.node.callspec.params["gateway"])] + "/.well-known/jwks.json"


TARGET = "/orders/a%2Fb?x=1&y=/../z"


def client(cookie=None, **more):
    headers = {"Accept": "text/html", "X-User-Id": "forged", **more}
    return {**headers, "Cookie": f"{whoami.COOKIE}={cookie}"} if cookie else headers


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_service_gets_token_and_no_forged_header(gateway, kratos, method, jwks):
    question, api = gateway
    cookie, identity = kratos.log_in()
    answer = gateways.ask(question, api, method, TARGET, client(cookie, Authorization="Bearer forged"))
    assert answer.status == 200, answer
    assert answer.upstream["x-user-id"] == identity and "X-User-Id" not in answer.upstream
    assert "Authorization" not in answer.upstream
    token = answer.upstream["authorization"].removeprefix("Bearer ")
    verified = claimsmith(
        *("verify", token, "--jwks", jwks),
        *("--issuer", "https://id.example.org/", "--audience", "app"),
    )
    assert identity in verified.stdout


def test_page_view_without_session_goes_to_login(gateway):
    question, api = gateway
    answer = gateways.ask(question, api, "GET", TARGET, client())
    assert answer.status == (401 if "/auth-request/" in question.url else 302)
    assert answer.headers["location"].startswith("https://id.example.org/self-service/login/browser?return_to=")
    assert "app.example.org" in answer.headers["location"]


def test_program_without_session_gets_401(gateway):
    question, api = gateway
    answer = gateways.ask(question, api, "POST", TARGET, client(Accept="application/json"))
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert "authorization" not in answer.headers


def test_gateway_names_a_check_that_exists(gateway, kratos):
    question, api = gateway
    cookie, _ = kratos.log_in()
    other = dataclasses.replace(question, url=question.url.replace("/web", "/other"))
    if question.context:
        other = dataclasses.replace(question, context={"check": "other"})
    assert other != question
    assert gateways.ask(other, api, "GET", TARGET, client(cookie)).status == 403


@pytest.mark.parametrize("name", gateways.LOOKALIKES)
def test_lookalike_of_checked_header_reaches_no_service(gateway, kratos, name):
    question, api = gateway
    cookie, _ = kratos.log_in()
    answer = gateways.ask(question, api, "GET", TARGET, client(cookie, **{name: "forged"}))
    assert answer.status == 403 or "forged" not in answer.upstream.values(), answer


def test_gateway_without_its_secret_is_refused(gateway, kratos):
    question, api = gateway
    cookie, _ = kratos.log_in()
    added = question.adds("GET", TARGET)
    without = {name: value for name, value in added.items() if value != gateways.SECRET}
    answer = gateways.ask(question, api, "GET", TARGET, client(cookie), adds=without)
    assert answer.status == (200 if without == added else 403)


def test_client_cannot_choose_what_the_gateway_adds(gateway, kratos):
    question, api = gateway
    cookie, _ = kratos.log_in()
    forged = {name: "forged" for name in question.adds("GET", TARGET) if name != "Host"}
    answer = gateways.ask(question, api, "GET", TARGET, client(cookie, **forged))
    assert answer.status == 200, answer


def test_ingress_nginx_with_auth_method_is_refused(running, kratos):
    """With this annotation, the controller describes the request in a second form."""
    question = gateways.question("ingress-nginx")
    cookie, _ = kratos.log_in()
    added = {**question.adds("GET", TARGET), "X-Original-URI": TARGET}
    assert gateways.ask(question, running["gateway-secret"], "GET", TARGET, client(cookie), adds=added).status == 403


def test_page_names_each_manifest_with_its_values_and_versions():
    text = (ROOT / "docs" / "proxies" / "kubernetes.md").read_text()
    rows = [line for line in text.splitlines() if "`deploy/gateways/" in line]
    assert {path for row in rows for path in re.findall(r"`deploy/gateways/([\w-]+)\.yaml`", row)} == {*gateways.NAMES, "istio-mesh"}
    for name in gateways.NAMES:
        (row,) = (row for row in rows if f"`deploy/gateways/{name}.yaml`" in row)
        assert f"`deploy/helm/examples/{gateways.values(name)}.yaml`" in row
    named = {
        "Contour": "github.com/projectcontour/contour",
        "Envoy Gateway": "github.com/envoyproxy/gateway",
        "Gateway API": "sigs.k8s.io/gateway-api",
        "Istio API": "istio.io/api",
        "Traefik": "github.com/traefik/traefik/v3",
    }
    for product, module in named.items():
        found = {version for row in rows for version in re.findall(rf"{product} (\d[\d.]*\d)", row.rpartition(" | ")[2])}
        assert found == {schemas.MODULES[module][0].removeprefix("v")}, product
