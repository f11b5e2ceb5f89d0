"""Reloads and rotations under constant load, and not one request or token lost.

A client hydrates sessions without a pause and verifies every token with npm jose's remote JWKS. Meanwhile files change 200
times: good, bad, half written, swapped by links, deleted; one profile's key file is rotated by the service itself, the
other's by swapping a mounted volume. Exits 1 where a request fails, a token does not verify, or a change is not taken for
what it is.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

from run import HERE, ISSUER, claimsmith, serving

CHANGES = 200
MAX_AGE = 1
LEAD = 3
EVERY = 12


class Files:
    """What the service reads, and every way to change it."""

    def __init__(self, folder):
        self.folder = folder
        self.version = 0
        self.mounted = 0
        self.template = folder / "templates" / "p" / "claims.hbs"
        self.case = folder / "templates" / "p" / "one.claims.json"
        self.partial = folder / "templates" / "_partials" / "version.hbs"
        self.volume = folder / "mounted"

    def prepare(self):
        for file in [self.template, self.partial]:
            file.parent.mkdir(parents=True)
        self.volume.mkdir()
        claimsmith("keys", "generate", "--alg", "EdDSA", "--kid", "p-0", "--out", str(self.folder / "p.json"))
        first = self.volume / "..0"
        first.mkdir()
        claimsmith("keys", "generate", "--alg", "ES256", "--kid", "q-0", "--out", str(first / "keys.json"))
        self.swap(first)
        os.symlink("..data/keys.json", self.volume / "keys.json")
        (self.template.parent / "one.session.json").write_text('{"subject": "u"}')
        self.write_template()
        self.write_partial()

    def next(self):
        self.version += 1
        return self.version

    def write_template(self):
        self.case.write_text('{"t": 1}')
        self.replace(self.template, '{"t": 1}{{!-- %d --}}' % self.next())

    def write_partial(self):
        self.replace(self.partial, "%d" % self.next())

    def replace(self, path, text):
        """As editors do it."""
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text)
        beside.rename(path)

    def swap(self, target):
        """As kubelet does it."""
        link = self.volume / "..new"
        os.symlink(target.name, link)
        link.rename(self.volume / "..data")

    def rotate_volume(self):
        """The next key of `q`, in a folder of its own, published ahead as the service's own are.

        A key may only follow another once that has come to sign, and the service adds keys to this file as well: where it
        was faster, this waits for its key and tries again.
        """
        for _ in range(10 * 4 * LEAD):
            current = (self.volume / "..data").resolve()
            self.mounted += 1
            target = self.volume / f"..{self.mounted}"
            shutil.copytree(current, target)
            rotation = json.loads(
                claimsmith("--json", "keys", "rotate", str(target / "keys.json"), "--lead", f"{LEAD}s", "--retire", "60s",
                           "--config", str(self.folder / "cli.yaml"))
            )
            if rotation["added"]:
                return self.swap(target)
            shutil.rmtree(target)
            time.sleep(0.1)
        raise SystemExit("expected the newest key of the volume to come to sign")

    def swap_broken(self):
        self.good = (self.volume / "..data").resolve()
        broken = self.volume / "..broken"
        shutil.rmtree(broken, ignore_errors=True)
        broken.mkdir()
        (broken / "keys.json").write_text('{"keys": [{"kty": "EC", "n": %d}]}' % self.next())
        self.swap(broken)

    def swap_back(self):
        self.swap(self.good)

    def half_template(self):
        """Half of a good one stands there for a while."""
        text = '{"t": 1}{{!-- half written, version %d --}}' % self.next()
        self.template.write_text(text[:20])
        time.sleep(0.15)
        self.template.write_text(text)

    def bad_template(self):
        self.template.write_text('{"t": {{Extra.t}%d' % self.next())

    def wrong_case(self):
        self.template.write_text('{"t": %d}' % (self.next() + 1000))

    def delete_template(self):
        self.template.unlink()

    def delete_key_link(self):
        (self.volume / "keys.json").unlink()

    def restore_key_link(self):
        os.symlink("..data/keys.json", self.volume / "keys.json")

    def bad_configuration(self):
        self.write_configuration(f"\nnonsense: {self.next()}\n")

    def empty_configuration(self):
        (self.folder / "reload.yaml").write_text(" " * self.next())

    def good_configuration(self):
        self.write_configuration(f"\n# {self.next()}\n")

    def write_configuration(self, tail):
        text = (self.folder / "good.json").read_text()
        self.replace(self.folder / "reload.yaml", text + tail)


def steps(files):
    """What happens, and what it is to the service: something new, something that cannot be, or what it has already."""
    return [
        (files.write_template, "replaced"),
        (files.bad_template, "refused"),
        (files.half_template, "replaced"),
        (files.rotate_volume, "replaced"),
        (files.swap_broken, "refused"),
        (files.swap_back, "restored"),
        (files.write_partial, "replaced"),
        (files.delete_template, "refused"),
        (files.write_template, "replaced"),
        (files.wrong_case, "refused"),
        (files.write_template, "replaced"),
        (files.delete_key_link, "refused"),
        (files.restore_key_link, "restored"),
        (files.bad_configuration, "refused"),
        (files.good_configuration, "replaced"),
        (files.empty_configuration, "refused"),
        (files.good_configuration, "replaced"),
    ]


class Metrics:
    def __init__(self, admin):
        self.admin = admin

    def read(self):
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        value = lambda name: int(re.search(rf"^{re.escape(name)} (\d+)", text, re.M).group(1))
        return {
            "replaced": value('claimsmith_reloads_total{result="replaced"}'),
            "refused": value('claimsmith_reloads_total{result="refused"}'),
            "failing": value("claimsmith_reload_refused"),
            "rotated": value('claimsmith_key_rotations_total{result="rotated"}'),
        }

    def wait(self, what, holds):
        for _ in range(1200):
            now = self.read()
            if holds(now):
                return now
            time.sleep(0.025)
        raise SystemExit(f"expected within thirty seconds: {what}; found {now}")


def change(step, outcome, metrics, counts):
    before = metrics.read()
    step()
    what = f"{step.__name__} to be {outcome}"
    if outcome == "replaced":
        metrics.wait(what, lambda now: now["replaced"] > before["replaced"] and not now["failing"])
    elif outcome == "refused":
        metrics.wait(what, lambda now: now["refused"] > before["refused"] and now["failing"])
    else:
        metrics.wait(what, lambda now: not now["failing"])
    counts[outcome] = counts.get(outcome, 0) + 1


def run(folder):
    files = Files(folder)
    files.prepare()
    profiles = {
        "p": {"issuer": ISSUER, "jwks": "p.json", "template": "p", "ttl": "10s"},
        "q": {"issuer": ISSUER, "jwks": "mounted/keys.json", "template": "p", "ttl": "10s"},
    }
    rest = {
        "reload": {"interval": "100ms"},
        "rotation": {"every": f"{EVERY}s", "lead": f"{LEAD}s", "retire": "30s"},
        "jwks_max_age": f"{MAX_AGE}s",
    }
    (folder / "cli.yaml").write_text(json.dumps({"profiles": {"q": {**profiles["q"]}}, "jwks_max_age": f"{MAX_AGE}s"}))
    with serving(folder, "reload", profiles, more=rest) as base:
        (folder / "good.json").write_text((folder / "reload.yaml").read_text())
        metrics = Metrics(base.admin)
        load = subprocess.Popen(
            ["node", HERE / "load.mjs", base, ISSUER, str(MAX_AGE), "p", "q"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        counts, made = {}, 0
        sequence = steps(files)
        while made < CHANGES:
            for step, outcome in sequence:
                change(step, outcome, metrics, counts)
                made += 1
        result = metrics.wait("rotations by the service", lambda now: now["rotated"] >= 3)
        answer, _ = load.communicate()
    answer = json.loads(answer)
    kids = answer.pop("kids")
    print(f"{made} changes: {counts}; the service rotated {result['rotated']} times, {len(kids)} keys signed")
    print(f"load: {answer}")
    assert answer["failed"] == 0 and answer["unverified"] == 0, "requests or tokens were lost"
    assert answer["verified"] == answer["requests"] > 1000, "there was too little load to show anything"
    assert any(kid != "q-0" and kids[kid] for kid in kids) and len(kids) >= 6, "too few keys signed"


def main():
    with tempfile.TemporaryDirectory() as folder:
        run(pathlib.Path(folder))


if __name__ == "__main__":
    main()
