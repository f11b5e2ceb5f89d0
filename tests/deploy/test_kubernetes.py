"""The manifests and the chart: against the schemas of Kubernetes, against each other, and with the real binary."""

import base64
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kubernetes_validate
import pytest
import yaml
from conftest import DEPLOY, ROOT, call, claimsmith, make_key, run, serving
from rendering import CHART, FOREIGN, NAMESPACE, VALUES, chart, containers, kustomize, materialise, of_kind, pods


@pytest.fixture(scope="module", params=["kustomize", *VALUES])
def objects(request):
    return kustomize() if request.param == "kustomize" else chart(VALUES[request.param])


@pytest.mark.parametrize("version", ["1.27", "1.30", "1.33", kubernetes_validate.latest_version()])
def test_every_object_fits_the_schema(objects, version):
    assert objects
    for found in objects:
        # The schema of a ServiceMonitor is not one of Kubernetes.
        if found["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(found, version, strict=True)


def test_the_schema_check_can_fail():
    deployment = of_kind(kustomize(), "Deployment")[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)


def test_pods_are_restricted(objects):
    """The restricted Pod Security Standard, and what goes beyond it."""
    for pod in pods(objects):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(not {"hostPath", "persistentVolumeClaim"} & volume.keys() for volume in spec["volumes"])
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"] and "memory" in container["resources"]["requests"]
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_selectors_choose_the_service_and_nothing_else(objects):
    service, *jobs = pods(objects)
    chosen = [found["spec"]["selector"] for found in of_kind(objects, "Service")]
    chosen += [
        found["spec"]["selector"]["matchLabels"]
        for found in objects
        if found["kind"] in ("Deployment", "PodDisruptionBudget")
    ]
    chosen += [service["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]]
    policies = of_kind(objects, "NetworkPolicy")
    chosen += [
        found["spec"]["podSelector"]["matchLabels"]
        for found in policies
        if not found["metadata"]["name"].endswith("-rotate")
    ]
    for selector in chosen:
        assert selector.items() <= service["metadata"]["labels"].items()
        assert all(not selector.items() <= job["metadata"]["labels"].items() for job in jobs)
    ports = {port["name"] for port in service["spec"]["containers"][0]["ports"]}
    targets = {port["targetPort"] for found in of_kind(objects, "Service") for port in found["spec"]["ports"]}
    probes = {
        service["spec"]["containers"][0][f"{name}Probe"]["httpGet"]["port"]
        for name in ("startup", "readiness", "liveness")
    }
    assert targets == ports and probes == {"admin"}
    for found in policies:
        assert found["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["from"] for rule in found["spec"]["ingress"]), "a rule without peers lets everybody in"
        if found["metadata"]["name"].endswith("-rotate"):
            assert all(
                found["spec"]["podSelector"]["matchLabels"].items() <= job["metadata"]["labels"].items() for job in jobs
            )


def test_no_key_is_shipped_and_every_name_is_known(objects):
    assert of_kind(objects, "Secret") == []
    for path in DEPLOY.rglob("*"):
        private = rb'"(d|k)"\s*:\s*"[\w-]{16,}"|PRIVATE KEY'
        assert not path.is_file() or not re.search(private, path.read_bytes()), path
    accounts = {found["metadata"]["name"] for found in of_kind(objects, "ServiceAccount")}
    maps = {found["metadata"]["name"]: found["data"] for found in of_kind(objects, "ConfigMap")}
    maps["kube-root-ca.crt"] = {"ca.crt": ""}
    for pod in pods(objects):
        assert pod["spec"]["serviceAccountName"] in accounts
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                assert mount["name"] in volumes
                assert "subPath" not in mount or container["name"].startswith("rotate"), "a subPath is never updated"
        for volume in volumes.values():
            sources = [
                source["configMap"]
                for source in volume.get("projected", {}).get("sources", [])
                if "configMap" in source
            ]
            sources += [volume["configMap"]] if "configMap" in volume else []
            for source in (found for found in sources if found["name"] not in FOREIGN):
                assert {item["key"] for item in source.get("items", [])} <= maps[source["name"]].keys()


def test_the_rotation_may_touch_one_secret(objects):
    for role in of_kind(objects, "Role"):
        sources = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
        secret = next(found["secret"]["name"] for found in sources if "secret" in found)
        assert role["rules"] == [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get", "patch"]}
        ]
    assert of_kind(objects, "ClusterRole") == [] and of_kind(objects, "ClusterRoleBinding") == []
    for binding in of_kind(objects, "RoleBinding"):
        assert [subject["name"] for subject in binding["subjects"]] == [of_kind(objects, "Role")[0]["metadata"]["name"]]
    for pod in pods(objects):
        for container in containers(pod):
            has_token = any(mount["name"] == "token" for mount in container["volumeMounts"])
            assert has_token == (container["name"] in ("get", "put"))


def test_the_overlay_of_the_manual_takes_the_place_of_what_it_names(tmp_path):
    manual = (DEPLOY / "kubernetes" / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "base")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(
        manual.replace("PATH-OR-URL-OF/deploy/kubernetes", "../base")
    )
    (tmp_path / "overlay" / "claimsmith.yaml").write_text("profiles: {}\n")
    objects = kustomize(tmp_path / "overlay")
    assert [
        found["data"] for found in of_kind(objects, "ConfigMap") if found["metadata"]["name"] == "claimsmith-config"
    ] == [{"claimsmith.yaml": "profiles: {}\n"}]
    images = {container["image"] for pod in pods(objects) for container in containers(pod)}
    assert images == {"YOUR-REGISTRY/claimsmith:0.1.0", "YOUR-REGISTRY/kubectl:YOUR-TAG"}


def test_the_mounted_configuration_serves(objects, tmp_path, session_text):
    if of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"][1:]:
        pytest.skip("test_examples_with_further_volumes_are_accepted has these")
    config = materialise(objects, tmp_path / "etc")
    checked = claimsmith("check", "--config", config)
    # Whether the network between the pods is trusted is for whoever runs it to say.
    known = ("allow_unauthenticated", "serve.api.tls: not set")
    notes = [line for line in checked.stderr.splitlines() if not any(note in line for note in known)]
    assert "ok: " in checked.stdout and notes == [], checked
    service = next(iter(pods(objects)))["spec"]
    settings = yaml.safe_load(config.read_text())
    assert service["terminationGracePeriodSeconds"] >= int(settings["serve"]["shutdown_delay"][:-1]) + int(
        settings["serve"]["shutdown_timeout"][:-1]
    )
    assert {port["name"]: port["containerPort"] for port in service["containers"][0]["ports"]} == {
        name: settings["serve"][name]["port"] for name in ("api", "grpc", "admin") if name in settings["serve"]
    }
    environment = {found["name"]: found["value"] for found in service["containers"][0].get("env", [])}
    with serving(config, environment) as (api, admin, _):
        for name in ("startup", "readiness", "liveness"):
            assert call(admin + service["containers"][0][f"{name}Probe"]["httpGet"]["path"])[0] == 200
        credentials = base64.b64encode(b"oathkeeper:a-password-for-this-test-alone").decode()
        callers = settings.get("callers")
        for profile in settings["profiles"]:
            if callers:
                assert call(f"{api}/hydrate/{profile}", session_text)[0] == 401
            if callers and not any("basic" in caller for caller in callers):
                # A gateway that asks for checks posts no sessions. tests/deploy/test_gateways.py asks as it does.
                continue
            status, text = call(f"{api}/hydrate/{profile}", session_text, {"Authorization": f"Basic {credentials}"})
            assert status == 200 and json.loads(text)["header"]["Authorization"][0].startswith("Bearer "), text


def test_the_templates_are_those_of_the_repository():
    for folder in (DEPLOY / "kubernetes" / "templates", CHART / "files" / "templates"):
        copies = [path for path in folder.rglob("*") if path.is_file()]
        assert copies
        for path in copies:
            assert path.read_bytes() == (ROOT / "templates" / path.relative_to(folder)).read_bytes(), path


class FakeApi(ThreadingHTTPServer):
    """As much of the Kubernetes API as kubectl needs to get and to patch one Secret."""

    def __init__(self, secret):
        super().__init__(("127.0.0.1", 0), FakeApiHandler)
        self.secret, self.requests = secret, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class FakeApiHandler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def is_the_secret(self):
        name = self.server.secret["metadata"]["name"]
        return self.path.split("?")[0] == f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"

    def do_GET(self):
        path = self.path.split("?")[0]
        secrets = {
            "name": "secrets",
            "singularName": "secret",
            "namespaced": True,
            "kind": "Secret",
            "verbs": ["get", "patch"],
        }
        discovery = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [secrets]},
        }
        if path in discovery:
            return self.answer(200, discovery[path])
        self.server.requests.append(("GET", path))
        if self.is_the_secret():
            return self.answer(200, self.server.secret)
        return self.answer(
            403,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "Forbidden",
                "message": f"no rule for {path}",
                "code": 403,
            },
        )

    def do_PATCH(self):
        self.server.requests.append(("PATCH", self.path.split("?")[0]))
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/merge-patch+json" and self.is_the_secret()
        metadata = self.server.secret["metadata"]
        if patch["metadata"].pop("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            return self.answer(
                409,
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "reason": "Conflict",
                    "message": "the object has been modified",
                    "code": 409,
                },
            )
        if any(self.server.secret["data"].get(name) != value for name, value in patch["data"].items()):
            self.server.secret["data"].update(patch["data"])
            metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        return self.answer(200, self.server.secret)

    def log_message(self, *_):
        pass


class Job:
    """Runs the containers of the CronJob one after the other, their volumes being folders."""

    def __init__(self, objects, api, folder):
        self.pod = of_kind(objects, "CronJob")[0]["spec"]["jobTemplate"]["spec"]["template"]
        config = next(
            found["data"]["claimsmith.yaml"]
            for found in of_kind(objects, "ConfigMap")
            if found["metadata"]["name"].endswith("-config")
        )
        self.folder = folder
        for name in ("work", "keys", "etc"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True)
        (folder / "etc" / "claimsmith.yaml").write_text(config)
        (folder / "etc" / "keys").symlink_to(folder / "keys")
        (folder / "kubeconfig").write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "x",
                    "users": [],
                    "clusters": [{"name": "x", "cluster": {"server": api.url}}],
                    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "", "namespace": NAMESPACE}}],
                }
            )
        )

    def here(self, text):
        """`text` with the folders in the place of what is mounted."""
        mounts = {"/etc/claimsmith/": "etc", "/scratch/": "work", "/keys/": "keys"}
        return re.sub(
            r"(?<![\w/])(/etc/claimsmith/|/scratch/|/keys/)", lambda found: f"{self.folder / mounts[found[1]]}/", text
        )

    def run(self, between=lambda: None):
        for container in containers(self.pod):
            arguments = [self.here(argument) for argument in container["args"]]
            if container["name"] == "put":
                between()
            if "command" in container:
                done = run(
                    *container["command"],
                    *arguments,
                    check=False,
                    env={"KUBECONFIG": self.folder / "kubeconfig", "HOME": self.folder / "work"},
                )
            else:
                done = claimsmith(*arguments, check=False)
            if done.returncode:
                return done
        return done


@pytest.mark.parametrize("objects", ["kustomize", "chart-more"], indirect=True)
def test_the_rotation_rotates_a_secret(objects, tmp_path):
    rotated = [container for container in containers(list(pods(objects))[1]) if container["name"].startswith("rotate")]
    names = [container["args"][-1].rpartition("/")[2] for container in rotated]
    data = {"of-somebody-else": base64.b64encode(b"stays").decode()}
    for name in names:
        make_key(tmp_path / "first" / name)
        data[name] = base64.b64encode((tmp_path / "first" / name).read_bytes()).decode()
    secret = of_kind(objects, "Role")[0]["rules"][0]["resourceNames"][0]
    api = FakeApi(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": NAMESPACE, "resourceVersion": "7", "labels": {"a": "b"}},
            "data": dict(data),
        }
    )

    def keys(name):
        return json.loads(base64.b64decode(api.secret["data"][name]))["keys"]

    # Somebody changes the Secret while the job is at it: it is refused, and changes nothing.
    conflict = Job(objects, api, tmp_path / "conflict").run(lambda: api.secret["metadata"].update(resourceVersion="8"))
    assert conflict.returncode != 0 and "the object has been modified" in conflict.stderr
    assert api.secret["data"] == data
    # The next try adds a key to each set, which the service can use, and leaves the rest alone.
    second = Job(objects, api, tmp_path / "second")
    with (second.folder / "etc" / "claimsmith.yaml").open("a") as config:
        config.write("\nunrelated: an error that does not concern keys\n")
    done = second.run()
    assert done.returncode == 0, done
    for name in names:
        assert len(keys(name)) == 2
        listed = tmp_path / "listed.json"
        listed.write_bytes(base64.b64decode(api.secret["data"][name]))
        states = [
            json.loads(line)["state"] for line in claimsmith("keys", "list", listed, "--json").stdout.splitlines()
        ]
        assert sorted(states) == ["active", "pending"]
    assert api.secret["data"]["of-somebody-else"] == data["of-somebody-else"] and api.secret["metadata"]["labels"] == {
        "a": "b"
    }
    # While that key is pending, another run changes nothing.
    after = json.dumps(api.secret)
    assert Job(objects, api, tmp_path / "third").run().returncode == 0 and json.dumps(api.secret) == after
    # A set that is no longer there is not replaced by nothing.
    broken = Job(objects, api, tmp_path / "fourth")
    assert (
        broken.run(lambda: (broken.folder / "keys" / names[0]).unlink()).returncode != 0
        and json.dumps(api.secret) == after
    )
    assert set(api.requests) == {
        (verb, f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret}") for verb in ("GET", "PATCH")
    }
    api.shutdown()
