"""nginx, HAProxy, Traefik, Caddy and Envoy, each with the configuration that its page in docs/proxies shows."""

import contextlib
import dataclasses
import shutil
import sys
import pathlib

import pages
from programs import call, free_port, running, write

HOST = "app.example.org"
# Debian installs servers where users do not look for programs.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass
class Proxy:
    """A proxy in front of `upstream` that asks the claimsmith at `claimsmith`. Both are addresses without a scheme."""

    directory: object
    upstream: str
    claimsmith: str
    secret: str
    port: int = dataclasses.field(default_factory=free_port)

    page = ""
    files = ()
    # What a client gets if claimsmith cannot be reached, and if it does not respond in time.
    failure = 500
    timeout_status = 500
    timeout_seconds = 15
    # What a client gets that sends two `Authorization` headers.
    two_authorizations = 403
    # Whether a `Set-Cookie` of Kratos reaches the browser beside a response of the upstream.
    relays_cookies = True
    # The endpoint of claimsmith that the proxy uses.
    endpoint = "forward-auth"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def replacements(self):
        """Returns the actual addresses by the documented ones."""
        return {"claimsmith:4477": self.claimsmith, "app:8080": self.upstream}

    def environment(self):
        return {}

    def command(self, paths):
        raise NotImplementedError

    @contextlib.contextmanager
    def serving(self):
        write(self.directory / "secret", self.secret + "\n").chmod(0o600)
        paths = pages.files(self.page, self.files, self.replacements(), self.directory)
        # Traefik listens before it has read its routes.
        ready = lambda: call(self.url, headers={"Host": HOST}).status != 404
        with running(self.command(paths), self.directory, ready, self.environment()) as process:
            yield process


class Nginx(Proxy):
    page = "nginx.md"
    files = ("app.conf", "claimsmith-secret.conf")
    endpoint = "auth-request"
    # nginx itself refuses them.
    two_authorizations = 400

    def replacements(self):
        secret = self.directory / "claimsmith-secret.conf"
        return {
            **super().replacements(),
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "/etc/nginx/claimsmith-secret.conf": secret,
            "the-secret": self.secret,
        }

    def command(self, paths):
        directory = self.directory
        spools = "".join(
            f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = (
            f"daemon off; user root; pid {directory}/pid; error_log {directory}/error.log info;\n"
            f"events {{}}\nhttp {{ access_log off;\n{spools}include {paths['app.conf']};\n}}\n"
        )
        binary = shutil.which("nginx", path=SEARCH_PATH)
        return [binary, "-p", directory, "-e", directory / "error.log", "-c", write(directory / "nginx.conf", main)]


class HAProxy(Proxy):
    page = "haproxy.md"
    files = ("haproxy.cfg", "claimsmith.lua")
    endpoint = "auth-request"

    def replacements(self):
        return {
            **super().replacements(),
            "bind :80": f"bind 127.0.0.1:{self.port}",
            "/etc/haproxy/claimsmith.lua": self.directory / "claimsmith.lua",
        }

    def environment(self):
        return {"CALLER_SECRET": self.secret}

    def command(self, paths):
        return [shutil.which("haproxy", path=SEARCH_PATH), "-db", "-f", paths["haproxy.cfg"]]


class Traefik(Proxy):
    page = "traefik.md"
    files = ("traefik.yaml", "app.yaml")
    # Traefik's own timeout, which cannot be configured, is 30 s.
    timeout_seconds = 45

    def replacements(self):
        return {
            **super().replacements(),
            'address: ":80"': f'address: "127.0.0.1:{self.port}"',
            "/etc/traefik/app.yaml": self.directory / "app.yaml",
        }

    def command(self, paths):
        return [installed("traefik"), f"--configFile={paths['traefik.yaml']}"]


class Caddy(Proxy):
    page = "caddy.md"
    files = ("Caddyfile",)
    failure = 502
    timeout_status = 504
    relays_cookies = False

    def replacements(self):
        return {
            **super().replacements(),
            "http://app.example.org": f"http://app.example.org:{self.port}",
            "/run/secrets/claimsmith": self.directory / "secret",
        }

    def environment(self):
        return {"HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory), "XDG_CONFIG_HOME": str(self.directory)}

    def command(self, paths):
        return [installed("caddy"), "run", "--adapter", "caddyfile", "--config", paths["Caddyfile"]]


class Envoy(Proxy):
    page = "envoy.md"
    files = ("envoy.yaml",)
    endpoint = "ext-authz"
    failure = 503
    timeout_status = 503
    timeout_seconds = 5

    documented = "claimsmith:4477"

    def replacements(self):
        socket = lambda address: "address: {}, port_value: {} ".format(*address.split(":"))
        return {
            socket("0.0.0.0:80"): socket(f"127.0.0.1:{self.port}"),
            socket("app:8080"): socket(self.upstream),
            socket(self.documented): socket(self.claimsmith),
            "the-secret": self.secret,
        }

    def command(self, paths):
        # Several Envoys on a host would share memory for restarts.
        return [installed("envoy"), "--disable-hot-restart", "--concurrency", "2", "-c", paths[self.files[0]]]


class EnvoyGrpc(Envoy):
    page = "envoy-grpc.md"
    endpoint = "grpc"
    documented = "claimsmith:4479"


def installed(name):
    """Returns a program of the virtual environment."""
    return pathlib.Path(sys.executable).with_name(name)


ALL = (Nginx, HAProxy, Traefik, Caddy, Envoy, EnvoyGrpc)
