"""The container image, built by buildah without an engine, and run in a change of root.

No base image can be pulled where this runs, so the runtime stage gets one that is made of the same Debian packages as
distroless's cc, and the stage `build` is what deploy/docker/build.sh lays out with a binary that is built already.
tests/deploy/reproducible.sh builds the binary itself.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import tomllib

import pytest
from conftest import BINARY, DEPLOY, ROOT, make_key, run

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
PACKAGES = ["base-files", "ca-certificates", "libc6", "libgcc-s1", "netbase", "tzdata"]


def test_hadolint_finds_nothing():
    run("hadolint", DOCKERFILE)


def test_shellcheck_finds_nothing():
    run("shellcheck", *DEPLOY.rglob("*.sh"), *(ROOT / "tests" / "deploy").glob("*.sh"))


def test_the_compiler_is_the_oldest_that_is_allowed():
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    assert re.search(r"/rust:([\d.]+)-", DOCKERFILE.read_text())[1] == package["rust-version"]


def test_the_context_has_what_the_build_reads_and_no_keys():
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines and kept == {
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "deploy/docker/build.sh",
        "src",
        "templates",
    }


def openssl_packages():
    """The packages of the OpenSSL that the binary loads. The release contains its own OpenSSL (build.sh), a binary that
    was built for tests can load the system's, which distroless lacks.
    """
    libraries = re.findall(r"=> (\S+/lib(?:ssl|crypto)\.so\S*)", run("ldd", BINARY).stdout)
    owners = (run("dpkg", "--search", os.path.realpath(library)).stdout for library in libraries)
    return {owner.split(":")[0] for owner in owners}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "stage"
    folder.mkdir()
    # Another folder, a relative path: neither matters.
    run(DEPLOY / "docker" / "build.sh", "out", cwd=folder, env={"BINARY": str(BINARY)})
    return folder


def test_a_folder_that_exists_is_left_alone(laid_out):
    again = run(DEPLOY / "docker" / "build.sh", laid_out / "out", check=False, env={"BINARY": str(BINARY)})
    assert again.returncode == 1 and "found one that exists" in again.stderr


@pytest.fixture(scope="module")
def image(laid_out, tmp_path_factory):
    """The real Dockerfile's image; a function that runs buildah commands on it."""
    if os.getuid() != 0:
        pytest.skip("buildah needs root here")
    folder = tmp_path_factory.mktemp("buildah")
    environment = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    command = ["buildah", "--root", str(folder / "root"), "--runroot", str(folder / "run")]

    def buildah(*arguments, **options):
        return run(*command, *arguments, env=environment, **options)

    def start(*arguments):
        """The same, in the background and in a process group of its own."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(
            [*command, *arguments], env={**os.environ, **environment}, start_new_session=True, **streams
        )

    buildah.start = start

    base = folder / "base"
    base.mkdir()
    packages = [*PACKAGES, *openssl_packages()]
    if run("apt-get", "download", "-qq", *packages, cwd=folder, check=False).returncode:
        run("apt-get", "update", "-qq")
        run("apt-get", "download", "-qq", *packages, cwd=folder)
    for package in folder.glob("*.deb"):
        run("dpkg", "--extract", package, base)
    # What the package makes of its certificates when it is installed.
    certificates = sorted((base / "usr" / "share" / "ca-certificates").rglob("*.crt"))
    (base / "etc" / "ssl" / "certs" / "ca-certificates.crt").write_text(
        "".join(path.read_text() for path in certificates)
    )
    (folder / "Base").write_text("FROM scratch\nCOPY . /\n")
    buildah("build", "--quiet", "--tag", "base", "--file", folder / "Base", base)
    buildah(
        *("build", "--format", "docker", "--tag", "claimsmith", "--build-arg", "RUNTIME_IMAGE=localhost/base"),
        *("--build-context", f"build={laid_out}", "--file", DOCKERFILE, ROOT),
    )
    yield buildah
    for container in buildah("containers", "--quiet").stdout.split():
        buildah("rm", container)


def test_the_image_says_what_it_is(image):
    config = json.loads(image("inspect", "--type", "image", "claimsmith").stdout)["Docker"]["config"]
    assert config["User"] == "65532:65532" and config["WorkingDir"] == "/etc/claimsmith"
    assert config["Entrypoint"] == ["/usr/local/bin/claimsmith"] and config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/claimsmith", "health"]
    assert config["ExposedPorts"].keys() == {"4477/tcp", "4478/tcp"}


@contextlib.contextmanager
def running(buildah, mounts):
    """The image's own command, as the image's own user; yields a function that runs others beside it."""
    container = buildah("from", "--pull-never", "claimsmith").stdout.strip()
    options = [part for source, target in mounts.items() for part in ("--volume", f"{source}:{target}")]

    def beside(*command, **more):
        return buildah("run", *options, container, "--", *command, **more)

    config = json.loads(buildah("inspect", "--type", "image", "claimsmith").stdout)["Docker"]["config"]
    with buildah.start("run", *options, container, "--", *config["Entrypoint"], *config["Cmd"]) as service:
        try:
            yield beside, config, service
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGTERM)
            service.wait(timeout=40)


def test_the_image_runs_and_says_whether_it_is_healthy(image, tmp_path):
    etc, keys = tmp_path / "etc", tmp_path / "keys"
    make_key(keys / "id_token.jwks.json")
    etc.mkdir()
    for path in (keys, keys / "id_token.jwks.json"):
        os.chown(path, 65532, 65532)
    free = 40000 + os.getpid() % 10000
    (etc / "claimsmith.yaml").write_text(
        f"serve: {{ api: {{ port: {free} }}, admin: {{ port: {free + 1} }} }}\n"
        "templates: /usr/share/claimsmith/templates\n"
        "profiles:\n"
        "  id_token: { issuer: i, jwks: 'file:///var/lib/claimsmith/id_token.jwks.json', template: session }\n"
    )
    mounts = {etc: "/etc/claimsmith:ro", keys: "/var/lib/claimsmith"}
    with running(image, mounts) as (beside, config, service):
        health = config["Healthcheck"]["Test"][1:]
        for _ in range(100):
            done = beside(*health, check=False)
            if done.returncode == 0:
                break
            assert service.poll() is None, service.stdout.read()
            time.sleep(0.1)
        assert done.returncode == 0, done
        # The one folder that the user may write.
        beside("/usr/local/bin/claimsmith", "keys", "rotate", "/var/lib/claimsmith/id_token.jwks.json")
        assert len(json.loads((keys / "id_token.jwks.json").read_text())["keys"]) == 2
        # buildah may lose what a command prints, so its exit code has to say it.
        for folder, code in (
            ("/var/lib/claimsmith", 0),
            ("/usr/share/claimsmith", 1),
            ("/etc/claimsmith", 1),
            ("/", 1),
        ):
            done = beside("/usr/local/bin/claimsmith", "keys", "generate", "--out", f"{folder}/k.json", check=False)
            assert done.returncode == code, (folder, done)
        user = [pathlib.Path(f"/proc/{pid}/status") for pid in os.listdir("/proc") if pid.isdigit()]
        assert any("claimsmith" in text and "Uid:\t65532" in text for text in map(read, user))
    assert beside(*health, check=False).returncode != 0


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
