"""claimsmith with the configuration that a page in docs/proxies shows."""

import contextlib
import dataclasses

import pages
import upstream
import whoami
from claimsmith import Claimsmith
from programs import CLAIMSMITH, ROOT, free_port, run, write

SECRET = "a-secret-for-this-test-alone"


@dataclasses.dataclass
class PageClaimsmith(Claimsmith):
    grpc_port: int = dataclasses.field(default_factory=free_port)

    @property
    def address(self):
        return f"127.0.0.1:{self.api_port}"

    @property
    def grpc_address(self):
        return f"127.0.0.1:{self.grpc_port}"

    def callers(self):
        """Returns nothing, because the page configures the callers."""
        return {}


def of_page(page, kratos, directory):
    """Returns a claimsmith that asks the Kratos at the address `kratos`."""
    secret = write(directory / "claimsmith.secret", SECRET + "\n")
    secret.chmod(0o600)
    # A page shows either of these.
    documented = {"/run/secrets/claimsmith": secret, "[10.0.0.0/8]": "[127.0.0.1]"}
    text = pages.text(page, "claimsmith.yaml")
    replacements = {old: new for old, new in documented.items() if old in text}
    assert len(replacements) == 1, f"{page} needs one of {list(documented)}"
    pages.files(page, ["claimsmith.yaml"], {"kratos:4433": kratos, **replacements}, directory)
    (directory / "templates").symlink_to(ROOT / "templates")
    (directory / "keys").mkdir()
    run(CLAIMSMITH, "keys", "generate", "--alg", "ES256", "--out", "keys/id_token.jwks.json", directory=directory)
    environment = {"CLAIMSMITH_SERVE_API_HOST": "127.0.0.1", "CLAIMSMITH_SERVE_ADMIN_HOST": "127.0.0.1"}
    claimsmith = PageClaimsmith(directory, ["--config", "claimsmith.yaml"], environment)
    if "grpc:" in text:
        environment["CLAIMSMITH_SERVE_GRPC_HOST"] = "127.0.0.1"
        environment["CLAIMSMITH_SERVE_GRPC_PORT"] = str(claimsmith.grpc_port)
    return claimsmith


def prepared(kind, kratos, upstream, directory):
    """Returns claimsmith and a proxy of this kind in front of it, neither of which runs yet."""
    (directory / "claimsmith").mkdir()
    (directory / "proxy").mkdir()
    claimsmith = of_page(kind.page, kratos, directory / "claimsmith")
    address = claimsmith.grpc_address if kind.endpoint == "grpc" else claimsmith.address
    return claimsmith, kind(directory / "proxy", upstream, address, SECRET)


def edit(path, changes):
    """Replaces texts of a file, each of which must be there."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    write(path, text)


@contextlib.contextmanager
def changed(kind, directory, changes, environment=None, configuration=None):
    """Runs a proxy with texts of its documented configuration replaced, and claimsmith with further variables.

    `configuration` are texts of claimsmith's configuration that are replaced.

    Yields the proxy, Kratos, the upstream and claimsmith.
    """

    class Changed(kind):
        def replacements(self):
            return {**super().replacements(), **changes}

    with whoami.serving() as kratos, upstream.recording() as recorder:
        claimsmith, proxy = prepared(Changed, kratos.address, recorder.address, directory)
        claimsmith.environment.update(environment or {})
        edit(claimsmith.directory / "claimsmith.yaml", configuration or {})
        with claimsmith.serving(), proxy.serving():
            yield proxy, kratos, recorder, claimsmith
