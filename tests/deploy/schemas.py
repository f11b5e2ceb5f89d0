"""Schemas that projects publish, and validation of custom resources as a Kubernetes API server does it.

As a program, it downloads the schemas into a directory: `python schemas.py DIRECTORY`. It needs Go, which downloads modules.
"""

import dataclasses
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import cel
import jsonschema
import yaml

HERE = pathlib.Path(__file__).resolve().parent
DOWNLOADED = pathlib.Path(os.environ.get("SCHEMAS", HERE.parents[1] / ".tools" / "schemas"))

# Go modules that contain schemas: version, hash of the content as in go.sum, and the files.
MODULES = {
    "github.com/envoyproxy/gateway": (
        "v1.9.1",
        "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
        ["charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_securitypolicies.yaml"],
    ),
    # The version of the images in deploy/compose.
    "github.com/ory/kratos": (
        "v1.3.1",
        "h1:XOw84ToAxLDb5K5Xv/Qspk0vzlBq+6zgz2TufVg4kkU=",
        ["embedx/config.schema.json"],
    ),
    "github.com/projectcontour/contour": (
        "v1.33.8",
        "h1:QoOfwqWws+CVRFpsRC2+f1DmB5IdurtyUtepIsiWfE0=",
        ["examples/contour/01-crds.yaml"],
    ),
    "github.com/traefik/traefik/v3": (
        "v3.7.13",
        "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
        ["docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"],
    ),
    "istio.io/api": (
        "v1.32.0",
        "h1:37mJvg9I0biYZAEQF+MATs4FNeCpXEIVO3LFpVb6iNM=",
        ["kubernetes/customresourcedefinitions.gen.yaml", "mesh/v1alpha1/config.proto"],
    ),
    "sigs.k8s.io/gateway-api": (
        "v1.7.0",
        "h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY=",
        [
            "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml",
        ],
    ),
}


class Invalid(Exception):
    """An API server would reject the object, or remove a field."""


def download(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for module, (version, expected, files) in MODULES.items():
        with tempfile.TemporaryDirectory() as elsewhere:
            # The hash is compared below, so no checksum database is needed. Go reports a hash and a zip file for a
            # module that needs a newer Go, too.
            environment = {**os.environ, "GOFLAGS": "", "GONOSUMDB": "*", "GOTOOLCHAIN": "local", "GO111MODULE": "on"}
            command = ["go", "mod", "download", "-json", f"{module}@{version}"]
            done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        found = json.loads(done.stdout or "{}")
        if found.get("Sum") != expected:
            sys.exit(f"{module}@{version}: expected {expected}, found {found.get('Sum')}: {found.get('Error')}{done.stderr}")
        with zipfile.ZipFile(found["Zip"]) as archive:
            for path in files:
                name = f"{module}@{version}/{path}"
                (directory / pathlib.PurePath(path).name).write_bytes(archive.read(name))


@dataclasses.dataclass
class Definition:
    schema: dict

    @functools.cached_property
    def validator(self):
        return jsonschema.Draft202012Validator(closed(self.schema))

    def validate(self, value):
        """Raises `Invalid` unless the value fits the schema and its rules."""
        value = with_defaults(self.schema, value)
        errors = [error.message for error in self.validator.iter_errors(value)]
        errors = errors or list(broken_rules(self.schema, value))
        if errors:
            raise Invalid(errors)


def definitions():
    """Returns the schemas of all custom resources by apiVersion and kind: the downloaded ones, and those beside this file."""
    found = {}
    for path in [*sorted(DOWNLOADED.glob("*.y*ml")), *sorted((HERE / "schemas").glob("*.yaml"))]:
        for definition in yaml.load_all(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if not definition or definition.get("kind") != "CustomResourceDefinition":
                continue
            spec = definition["spec"]
            for version in spec["versions"]:
                key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                assert key not in found, f"{key} is defined twice"
                schema = version["schema"]["openAPIV3Schema"]
                found[key] = Definition({**schema, "properties": {**schema["properties"], **COMMON}})
    return found


METADATA = {
    "type": "object",
    "required": ["name", "namespace"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


COMMON = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}


def closed(schema):
    """Returns the schema without permission for unknown fields, which an API server removes or rejects."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: part if name in ("enum", "default") else closed(part) for name, part in schema.items()}
    # OpenAPI 3.0 has the booleans of an older JSON Schema.
    for limit in ("Maximum", "Minimum"):
        if result.get(f"exclusive{limit}") is True:
            result[f"exclusive{limit}"] = result.pop(limit.lower())
    if isinstance(schema.get("properties"), dict):
        result["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


def with_defaults(schema, value):
    """Returns the value with the defaults of the schema, which an API server adds before it evaluates rules."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        result = {name: part["default"] for name, part in properties.items() if "default" in part and name not in value}
        others = schema.get("additionalProperties")
        for name, part in value.items():
            inner = properties.get(name, others if isinstance(others, dict) else {})
            result[name] = with_defaults(inner, part)
        return result
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), part) for part in value]
    return value


def broken_rules(schema, value, path=""):
    """Yields the rules in the Common Expression Language that do not hold.

    Rules about the old object are for updates. The library does not have `url`, which Kubernetes adds to the language.
    """
    for found in schema.get("x-kubernetes-validations", []):
        evaluated = not re.search(r"\boldSelf\b|\burl\(", found["rule"])
        if evaluated and cel.evaluate(found["rule"], {"self": value}) is not True:
            yield f"{path}: {found.get('message', found['rule'])}"
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for name, part in value.items():
            inner = schema.get("properties", {}).get(name, others if isinstance(others, dict) else {})
            yield from broken_rules(inner, part, f"{path}.{name}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from broken_rules(schema.get("items", {}), part, f"{path}[{index}]")


SCALARS = {
    **dict.fromkeys(("double", "float"), {"type": "number"}),
    **dict.fromkeys(("int32", "int64", "uint32", "uint64"), {"type": "integer"}),
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(s|ms|m|h)$"},
}


def of_proto(text, root):
    """Returns the definition of a message in a Protocol Buffers file, by the names of its JSON form.

    A message of another file has no schema, so all of it is accepted.
    """
    text = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"', " ", text, flags=re.DOTALL)
    tokens = re.findall(r"[\w.]+|[^\s\w]", text)
    messages, scope, position, kinds = {}, [], 0, []
    while position < len(tokens):
        token = tokens[position]
        if token in ("message", "enum", "oneof") and tokens[position + 2] == "{":
            kinds.append(token)
            if token != "oneof":
                scope.append(tokens[position + 1])
            if token == "message":
                messages[".".join(scope)] = {}
            position += 3
        elif token == "{":
            kinds.append("other")
            position += 1
        elif token == "}":
            if kinds.pop() in ("message", "enum"):
                scope.pop()
            position += 1
        elif kinds and kinds[-1] in ("message", "oneof") and token != "reserved":
            end = tokens.index(";", position)
            declaration = tokens[position : tokens.index("=", position)]
            messages[".".join(scope)][declaration[-1]] = "".join(declaration[:-1])
            position = end + 1
        else:
            position = tokens.index(";", position) + 1

    def schema(kind, within):
        if kind.startswith("repeated"):
            return {"type": "array", "items": schema(kind.removeprefix("repeated"), within)}
        if kind.startswith("map<"):
            return {"type": "object", "additionalProperties": schema(kind[:-1].partition(",")[2], within)}
        if kind in SCALARS:
            return SCALARS[kind]
        parts = within.split(".")
        for length in range(len(parts), -1, -1):
            name = ".".join([*parts[:length], kind])
            if name in messages:
                return {"$ref": f"#/$defs/{name}"}
        return {}

    camel = lambda name: re.sub(r"_(\w)", lambda found: found[1].upper(), name)
    shapes = {
        name: {"type": "object", "properties": {camel(field): schema(kind, name) for field, kind in fields.items()}}
        for name, fields in messages.items()
    }
    return Definition({"$ref": f"#/$defs/{root}", "$defs": {name: closed(shape) for name, shape in shapes.items()}})


if __name__ == "__main__":
    download(pathlib.Path(sys.argv[1]))
