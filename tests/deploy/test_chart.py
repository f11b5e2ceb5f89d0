"""The values of the chart: what they reach, what is refused, the examples, and when pods restart."""

import json
import shutil

import helm_python
import pytest
import yaml
from conftest import ROOT, claimsmith, make_key, run
from rendering import CHART, EXAMPLES, NAMESPACE, VALUES, chart, containers, materialise, of_kind, pods


def test_helm_lint_finds_nothing():
    for values in VALUES.values():
        report = helm_python.lint(CHART, values, strict=True, kube_version="v1.33.0")
        assert [found for found in report["messages"] if found["severity"] > 1] == [] and report["errors"] == []


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 3},
        {"keys": {"files": ["../x"]}},
        {"image": {"digest": "latest"}},
        {"config": {"profiles": {}, "serve": None}},
        {"config": {"profiles": {"id_token": {"isuer": "https://id.example.org/"}}}},
        {"config": {"profiles": {"id_token": {"ttl": "forever"}}}},
        {"config": {"audit": {"to": "syslog"}}},
        {"config": {"serve": {"api": {"port": 80}}}},
        {"service": {"api": {"typ": "NodePort"}}},
        {"service": {"grpc": {"typ": "NodePort"}}},
        {"config": {"serve": {"grpc": {"prt": 4479}}}},
        {"config": {"checks": {"web": {"source": ["kratos"]}}}},
        {"config": {"sources": {"kratos": {"type": "kratos", "publc": "http://kratos:4433"}}}},
        {"ingress": {"hosts": ["keys.example.org"]}},
        {"networkPolicy": {"api": []}},
    ],
)
def test_values_that_mean_nothing_are_refused(values):
    with pytest.raises(helm_python.HelmError):
        chart(values)


def certificate(folder):
    """A certificate of its own authority, as cert-manager lays it out."""
    folder.mkdir(parents=True)
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", "/CN=claimsmith", "-addext", "subjectAltName=DNS:claimsmith.auth"),
        *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
    )
    shutil.copy(folder / "tls.crt", folder / "ca.crt")
    (folder / "tls.key").chmod(0o440)


@pytest.mark.parametrize("name", ["drop-in", "other-namespace"])
def test_examples_with_further_volumes_are_accepted(name, tmp_path):
    """What the example mounts elsewhere is laid out below a folder, and `check` reads it with the arguments of the pod."""
    objects = chart(EXAMPLES[name])
    config = materialise(objects, tmp_path / "etc" / "claimsmith")
    container = next(iter(pods(objects)))["spec"]["containers"][0]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] != "etc"]
    assert mounts and all(path.startswith("/etc/") for path in mounts)
    fixtures = ROOT / "tests" / "fixtures" / "oathkeeper"
    if name == "drop-in":
        files = {"config/config.yaml": fixtures / "oathkeeper.yml", "rules/access-rules.json": fixtures / "access-rules.yml"}
        make_key(tmp_path / "etc" / "secrets" / "mutator.id_token.jwks.json")
        for target, source in files.items():
            text = yaml.safe_load(source.read_text())
            if target.startswith("config/"):
                text["access_rules"]["repositories"] = ["file:///etc/rules/access-rules.json"]
                text["mutators"]["id_token"]["config"]["jwks_url"] = "file:///etc/secrets/mutator.id_token.jwks.json"
            path = tmp_path / "etc" / target
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(text).replace("/etc/", f"{tmp_path}/etc/"))
    else:
        certificate(tmp_path / "etc" / "claimsmith-tls")
    config.chmod(0o600)
    config.write_text(config.read_text().replace("/etc/", f"{tmp_path}/etc/"))
    serve, *arguments = container["args"]
    assert serve == "serve"
    checked = claimsmith("check", *(argument.replace("/etc/", f"{tmp_path}/etc/") for argument in arguments), check=False)
    assert checked.returncode == 0 and "ok: " in checked.stdout, checked


def changed(values, path, value):
    """The values with another value at a dotted path below `config`."""
    *folders, last = path.split(".")
    result = json.loads(json.dumps(values))
    inner = result.setdefault("config", {})
    for name in folders:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return result


def test_pods_restart_for_what_is_read_at_startup_and_for_nothing_else():
    def annotation(values):
        return of_kind(chart(values), "Deployment")[0]["spec"]["template"]["metadata"]["annotations"]["checksum/start"]

    before = annotation({})
    values = {
        "audit": {"to": "stdout"},
        "limits.connections": 100,
        "limits.connections_per_peer": 10,
        "limits.connection_age": "2h",
        "limits.keep_alive": "7s",
        "log": {"level": "debug"},
        "serve.shutdown_delay": "3s",
        "traces": {"endpoint": "http://collector:4318/v1/traces"},
    }
    schema = json.loads(claimsmith("schema").stdout)
    marked = {name for name, found in schema["properties"].items() if found.get("x-restart")}
    marked |= {
        f"limits.{name}" for name, found in schema["properties"]["limits"]["properties"].items() if found.get("x-restart")
    }
    assert {path if path.startswith("limits") else path.split(".")[0] for path in values} == marked
    sums = [annotation(changed({}, path, value)) for path, value in values.items()]
    assert before not in sums and len(set(sums)) == len(sums)
    for path, value in {"limits.body": "2MiB", "profiles.id_token.ttl": "5m", "jwks_max_age": "10m"}.items():
        assert annotation(changed({}, path, value)) == before


def test_every_value_reaches_its_object():
    objects = chart(VALUES["chart-everything"])
    for found in objects:
        assert found["metadata"]["name"].startswith("prod-tokens") or found["kind"] == "ServiceAccount"
        assert found["metadata"]["labels"]["example.org/owner"] == "identity", found
    deployment = of_kind(objects, "Deployment")[0]["spec"]
    assert "replicas" not in deployment
    pod = deployment["template"]["spec"]
    assert pod["serviceAccountName"] == "identity-tokens"
    account = next(found for found in of_kind(objects, "ServiceAccount") if found["metadata"]["name"] == "identity-tokens")
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:")
    rotate = next(found for found in containers(list(pods(objects))[1]) if found["name"].startswith("rotate"))
    for container in (pod["containers"][0], rotate):
        assert container["env"][0]["name"] == "CLAIMSMITH_LOG_LEVEL"
        assert container["envFrom"][0]["secretRef"]["name"] == "claimsmith-env"
    assert pod["volumes"][1]["name"] == "ca" and pod["containers"][0]["volumeMounts"][1]["mountPath"] == "/etc/ca"
    constraint = pod["topologySpreadConstraints"][0]
    assert constraint["topologyKey"] == "topology.kubernetes.io/zone" and constraint["labelSelector"]["matchLabels"]
    services = {found["metadata"]["name"]: found for found in of_kind(objects, "Service")}
    api, admin = services["prod-tokens"], services["prod-tokens-admin"]
    assert api["spec"]["type"] == "LoadBalancer" and api["spec"]["ports"][0]["port"] == 80
    assert api["metadata"]["annotations"] == {"a": "b"} and api["metadata"]["labels"]["c"] == "d"
    config = next(found for found in of_kind(objects, "ConfigMap") if found["metadata"]["name"] == "prod-tokens-config")
    assert yaml.safe_load(config["data"]["claimsmith.yaml"])["public_url"] == f"http://prod-tokens.{NAMESPACE}:80"
    rules = of_kind(objects, "Ingress")[0]["spec"]["rules"]
    assert [path["path"] for rule in rules for path in rule["http"]["paths"]] == ["/.well-known/", "/x"]
    assert rules[0]["http"]["paths"][0]["backend"]["service"] == {"name": "prod-tokens", "port": {"name": "http-api"}}
    monitor = of_kind(objects, "ServiceMonitor")[0]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["port"] == admin["spec"]["ports"][0]["name"] == "metrics"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= admin["metadata"]["labels"].items()
    scaler = of_kind(objects, "HorizontalPodAutoscaler")[0]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "prod-tokens" and scaler["minReplicas"] == 3
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu", "memory"]
    policy = next(found for found in of_kind(objects, "NetworkPolicy") if found["metadata"]["name"] == "prod-tokens")
    assert policy["spec"]["ingress"][0]["from"] == VALUES["chart-everything"]["networkPolicy"]["gateways"]


def test_only_gateways_reach_grpc():
    objects = chart(EXAMPLES["gateway-grpc"] | {"networkPolicy": {"verifiers": [{"podSelector": {}}]}})
    (service,) = (found for found in of_kind(objects, "Service") if found["metadata"]["name"] == "claimsmith-grpc")
    assert service["spec"]["ports"] == [
        {"name": "grpc", "port": 4479, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    ]
    policy = next(found for found in of_kind(objects, "NetworkPolicy") if found["metadata"]["name"] == "claimsmith")
    peers = {rule["ports"][0]["port"]: rule["from"] for rule in policy["spec"]["ingress"]}
    assert {"podSelector": {}} in peers["api"] and {"podSelector": {}} not in peers["grpc"]
    assert all(peer in peers["api"] for peer in peers["grpc"]) and peers["grpc"]
    with_tls = changed(EXAMPLES["gateway-grpc"], "serve.api.tls", {"cert_file": "/c", "key_file": "/k"})
    (service,) = (found for found in of_kind(chart(with_tls), "Service") if found["metadata"]["name"] == "claimsmith-grpc")
    assert "appProtocol" not in service["spec"]["ports"][0]
    assert not any(found["metadata"]["name"].endswith("-grpc") for found in chart(EXAMPLES["gateway-secret"]))
