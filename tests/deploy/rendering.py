"""The manifests and the chart as Kubernetes gets them: kubectl builds the kustomization, Helm's own engine renders the chart."""

import helm_python
import yaml
from conftest import DEPLOY, documents, make_key, run

CHART = DEPLOY / "helm" / "claimsmith"
NAMESPACE = "auth"
VALUES = {
    "chart": {},
    "chart-bare": {
        "replicas": 1,
        "rotate": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "callers": {"files": []},
        "config": {"serve": {"api": {"allow_unauthenticated": True}}, "callers": None},
    },
    "chart-more": {
        "image": {"repository": "registry.example.org/cs", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "keys": {"secret": "my-keys", "files": ["id_token.jwks.json", "orders.jwks.json"]},
        "config": {
            "public_url": "https://tokens.example.org",
            "profiles": {
                "orders": {
                    "issuer": "https://id.example.org/",
                    "jwks": "file://keys/orders.jwks.json",
                    "audience": ["orders"],
                }
            },
        },
        "templates": {"orders/claims.hbs": '{"email": {{Extra.identity.traits.email}}}\n'},
        "env": [{"name": "CLAIMSMITH_LOG_LEVEL", "value": "debug"}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "auth", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"example.org/team": "id"},
        "podLabels": {"example.org/team": "id"},
        "networkPolicy": {"egress": [{"ports": [{"protocol": "TCP", "port": 443}]}], "admin": []},
    },
    "chart-everything": {
        "nameOverride": "tokens",
        "commonLabels": {"example.org/owner": "identity"},
        "extraEnv": [{"name": "CLAIMSMITH_LOG_LEVEL", "value": "debug"}],
        "envFrom": [{"secretRef": {"name": "claimsmith-env", "optional": True}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
        "serviceAccount": {"name": "identity-tokens", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/k"}},
        "service": {
            "api": {"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}, "labels": {"c": "d"}},
            "admin": {"port": 9000, "portName": "metrics"},
        },
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"cert-manager.io/cluster-issuer": "x"},
            "hosts": [{"host": "keys.example.org"}, {"host": "k.example.org", "paths": [{"path": "/x", "pathType": "Exact"}]}],
            "tls": [{"hosts": ["keys.example.org"], "secretName": "keys-tls"}],
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
        "autoscaling": {"enabled": True, "minReplicas": 3, "targetMemoryUtilizationPercentage": 70},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "networkPolicy": {
            "gateways": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}],
            "verifiers": [],
        },
    },
}
EXAMPLES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((DEPLOY / "helm" / "examples").glob("*.yaml"))}
VALUES |= {f"example-{name}": values for name, values in EXAMPLES.items()}
# What an example or a set of values mounts beside what the chart makes.
FOREIGN = {"ca", "oathkeeper-config", "oathkeeper-rules"}


def kustomize(folder=DEPLOY / "kubernetes"):
    return documents(run("kubectl", "kustomize", folder).stdout)


def chart(values):
    rendered = helm_python.Chart.load(CHART).render(values, name="prod", namespace=NAMESPACE)
    return [found for path, text in rendered.items() if not path.endswith("NOTES.txt") for found in documents(text)]


def of_kind(objects, kind):
    return [found for found in objects if found["kind"] == kind]


def pods(objects):
    for found in of_kind(objects, "Deployment"):
        yield found["spec"]["template"]
    for found in of_kind(objects, "CronJob"):
        yield found["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod):
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def materialise(objects, folder):
    """Lays the projected volume of the service out, as a kubelet would, with secrets of its own."""
    maps = {found["metadata"]["name"]: found["data"] for found in of_kind(objects, "ConfigMap")}
    projected = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"][0]["projected"]
    for source in projected["sources"]:
        if "configMap" in source:
            data = maps[source["configMap"]["name"]]
            for item in source["configMap"].get("items") or [{"key": key, "path": key} for key in data]:
                path = folder / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(data[item["key"]])
        else:
            for item in source["secret"]["items"]:
                path = folder / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                if item["path"].startswith("keys/"):
                    make_key(path)
                else:
                    path.write_text("a-password-for-this-test-alone\n")
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(projected["defaultMode"])
    return folder / "claimsmith.yaml"
