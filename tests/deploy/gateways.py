"""What a gateway asks claimsmith about a request of a client, and what it sends to the service, by its manifests in deploy/gateways.

Each function describes the contract of a gateway in its own documentation and source. No gateway runs here.
"""

import dataclasses
import http.client
import re
import urllib.parse

import grpc
import yaml
from conftest import DEPLOY, documents

FOLDER = DEPLOY / "gateways"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "istio-mesh")
HOST = "app.example.org"
SECRET = "a-password-for-this-test-alone"
PLACEHOLDER = "replace-with-the-secret"
# Names that some services read as X-User-Id.
LOOKALIKES = ("X_User_Id", "X.User.Id")


@dataclasses.dataclass
class Question:
    """How a gateway asks about a request."""

    # The URL of claimsmith.
    url: str
    # Names of the client's headers that claimsmith gets, in lower case. `*` at the end stands for any further characters.
    forwards: list
    # Headers that the gateway adds or overwrites, by method and target of the client.
    adds: object
    # Names of response headers that replace the client's own on the way to the service.
    copies: list
    # Whether claimsmith gets the method and the target of the client as its own request line.
    keeps_request_line: bool = False
    # Whether the gateway itself drops the client's headers in `LOOKALIKES`.
    drops_lookalikes: bool = False
    # The context of the route, if the gateway asks over gRPC. Then, all headers of the client are forwarded.
    context: dict | None = None

    def forwarded(self, name):
        name = name.lower()
        return any(name == one or one.endswith("*") and name.startswith(one[:-1]) for one in self.forwards)


def manifest(name):
    return documents((FOLDER / f"{name}.yaml").read_text().replace(PLACEHOLDER, SECRET))


def values(name):
    """Returns the example values that the manifest names."""
    return re.search(r"deploy/helm/examples/([\w-]+)\.yaml", (FOLDER / f"{name}.yaml").read_text())[1]


def of_kind(objects, kind):
    return next(found for found in objects if found["kind"] == kind)


def x_forwarded(method, target):
    return {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Method": method,
        "X-Forwarded-Host": HOST,
        "X-Forwarded-Uri": target,
        "X-Forwarded-For": "192.0.2.1",
    }


def ingress_nginx(objects):
    """rootfs/etc/nginx/template/nginx.tmpl: the location of the sub-request."""
    prefix = "nginx.ingress.kubernetes.io/"
    annotations = of_kind(objects, "Ingress")["metadata"]["annotations"]
    headers = of_kind(objects, "ConfigMap")
    reference = f"{headers['metadata']['namespace']}/{headers['metadata']['name']}"
    assert annotations[prefix + "auth-proxy-set-headers"] == reference

    def adds(method, target):
        own = {"X-Original-URL": f"https://{HOST}{target}", "X-Original-Method": method, "X-Auth-Request-Redirect": target}
        return {**own, "X-Sent-From": "nginx-ingress-controller", **headers["data"]}

    copies = [name.strip() for name in annotations[prefix + "auth-response-headers"].split(",")]
    return Question(annotations[prefix + "auth-url"], ["*"], adds, copies, drops_lookalikes=True)


def traefik(objects):
    settings = of_kind(objects, "Middleware")["spec"]["forwardAuth"]
    assert "authRequestHeaders" not in settings
    return Question(settings["address"], ["*"], x_forwarded, settings["authResponseHeaders"])


def apisix(objects):
    plugin = of_kind(objects, "ApisixRoute")["spec"]["http"][0]["plugins"][0]
    settings = plugin["config"]
    text = (FOLDER / "apisix.yaml").read_text()
    key = re.search(rf"{plugin['secretRef']} .*\n.*--from-file=extra_headers\.([\w-]+)=", text)[1]
    adds = lambda method, target: {**x_forwarded(method, target), key: SECRET}
    forwards = [name.lower() for name in settings["request_headers"]]
    return Question(settings["uri"], forwards, adds, settings["upstream_headers"])


def ext_authz(prefix, host, port, forwards, adds, copies):
    """The HTTP service of Envoy's filter, which the other gateways configure."""
    own = lambda method, target: {"Host": HOST, **adds}
    url = f"http://{host}:{port}{prefix}"
    return Question(url, ["authorization", *(name.lower() for name in forwards)], own, copies, keeps_request_line=True)


def address(reference):
    return f"{reference['name']}.{reference['namespace']}.svc.cluster.local", reference["port"]


def envoy_gateway(objects):
    settings = of_kind(objects, "SecurityPolicy")["spec"]["extAuth"]
    service = settings["http"]
    host, port = address(service["backendRefs"][0])
    return ext_authz(service["path"], host, port, settings["headersToExtAuth"], {}, service["headersToBackend"])


def kgateway(objects):
    settings = of_kind(objects, "GatewayExtension")["spec"]["extAuth"]
    service = settings["httpService"]
    host, port = address(service["backendRef"])
    adds = service["authorizationRequest"]["headersToAdd"]
    copies = service["authorizationResponse"]["headersToBackend"]
    return ext_authz(service["pathPrefix"], host, port, settings["headersToForward"], adds, copies)


def istio(objects):
    mesh = yaml.safe_load((FOLDER / "istio-mesh.yaml").read_text().replace(PLACEHOLDER, SECRET))["meshConfig"]
    policy = next(found for found in objects if found["spec"].get("action") == "CUSTOM")
    provider = next(
        found for found in mesh["extensionProviders"] if found["name"] == policy["spec"]["provider"]["name"]
    )["envoyExtAuthzHttp"]
    return ext_authz(
        provider["pathPrefix"],
        provider["service"],
        provider["port"],
        provider["includeRequestHeadersInCheck"],
        provider["includeAdditionalHeadersInCheck"],
        provider["headersToUpstreamOnAllow"],
    )


def over_grpc(name, namespace, port, context):
    """The gRPC service of Envoy's filter. Envoy joins headers of the same name, because the gateways keep its default."""
    url = f"grpc://{name}.{namespace}.svc.cluster.local:{port}/"
    return Question(url, ["*"], lambda method, target: {}, [], context=context)


def contour(objects):
    service, route = of_kind(objects, "ExtensionService"), of_kind(objects, "HTTPProxy")
    authorization = route["spec"]["virtualhost"]["authorization"]
    reference, metadata = authorization["extensionRef"], service["metadata"]
    assert (reference["name"], reference["namespace"]) == (metadata["name"], metadata["namespace"])
    assert (reference["apiVersion"], service["spec"]["protocol"]) == (service["apiVersion"], "h2c")
    target = service["spec"]["services"][0]
    return over_grpc(target["name"], metadata["namespace"], target["port"], authorization["authPolicy"]["context"])


def envoy_gateway_grpc(objects):
    settings = of_kind(objects, "SecurityPolicy")["spec"]["extAuth"]
    assert "headersToExtAuth" not in settings
    reference = settings["grpc"]["backendRefs"][0]
    context = {one["name"]: one["value"] for one in settings["contextExtensions"] if one["type"] == "Value"}
    return over_grpc(reference["name"], reference["namespace"], reference["port"], context)


def question(name):
    return globals()[name.replace("-", "_")](manifest(name))


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    # What the service gets, if the request is allowed.
    upstream: dict


def ask(question, api, method, target, headers, adds=None):
    """Asks the claimsmith at `api` as the gateway does. `adds` replaces what the gateway adds."""
    if question.context is not None:
        return ask_over_grpc(question, api, method, target, headers)
    path = urllib.parse.urlsplit(question.url).path + (target if question.keeps_request_line else "")
    if question.drops_lookalikes:
        headers = {name: value for name, value in headers.items() if name not in LOOKALIKES}
    added = question.adds(method, target) if adds is None else adds
    overwritten = {name.lower() for name in added}
    sent = {name: value for name, value in headers.items() if question.forwarded(name) and name.lower() not in overwritten}
    connection = http.client.HTTPConnection(api.removeprefix("http://"), timeout=10)
    connection.putrequest(method if question.keeps_request_line else "GET", path, skip_host="Host" in added)
    for name, value in {**sent, **added}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    received = {name.lower(): value for name, value in response.getheaders()}
    response.read()
    connection.close()
    copied = [name.lower() for name in question.copies]
    upstream = {name: value for name, value in headers.items() if name.lower() not in copied}
    upstream |= {name: received[name] for name in copied if name in received}
    return Answer(response.status, received, upstream)


def encoded(*fields):
    """Returns a message of Protocol Buffers: pairs of a number, and a text or a message."""
    result = b""
    for number, value in fields:
        value = value.encode() if isinstance(value, str) else value
        result += varint(number << 3 | 2) + varint(len(value)) + value
    return result


def varint(number):
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def decoded(message):
    """Returns the values of a message by their number. Only lengths and varints occur."""
    found, position = {}, 0

    def read():
        nonlocal position
        number = shift = 0
        while True:
            byte = message[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(message):
        tag = read()
        value = read()
        if tag & 7 == 2:
            position, value = position + value, message[position : position + value]
        else:
            assert tag & 7 == 0, tag
        found.setdefault(tag >> 3, []).append(value)
    return found


def pairs(mapping):
    return [encoded((1, name), (2, value)) for name, value in mapping.items()]


OVERWRITE_IF_EXISTS_OR_ADD = 2


def ask_over_grpc(question, address, method, target, headers):
    """`envoy/service/auth/v3/external_auth.proto` and `attribute_context.proto`, as far as the filter uses them."""
    lower = {name.lower(): value for name, value in headers.items()}
    fields = [(2, method), *((3, pair) for pair in pairs(lower)), (4, target), (5, HOST), (6, "https")]
    context = [(10, pair) for pair in pairs(question.context)]
    attributes = encoded((4, encoded((2, encoded(*fields)))), *context)
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        response = decoded(call(encoded((1, attributes)), timeout=10))
    is_allowed = decoded(response[1][0]).get(1, [0]) == [0]
    answer = decoded(response[3 if is_allowed else 2][0])
    received = {}
    for option in map(decoded, answer.get(2, [])):
        # Without `append`, the action decides. Any other one would keep the client's header.
        assert not is_allowed or (2 not in option and option[3] == [OVERWRITE_IF_EXISTS_OR_ADD]), option
        header = decoded(option[1][0])
        received[header[1][0].decode().lower()] = header.get(2, [b""])[0].decode()
    upstream = {name: value for name, value in headers.items() if name.lower() not in received} | received
    return Answer(200 if is_allowed else decoded(answer[1][0])[1][0], received, upstream)
