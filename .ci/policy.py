#!/usr/bin/env python3
"""policy.py: checks all dependencies against .deny.toml: licenses, sources, wildcard versions, and exceptions for advisories.

These are the checks `cargo deny check bans licenses sources` as far as .deny.toml configures them. They run here because
compiling cargo-deny takes longer than all other checks together. Security advisories need cargo-deny itself; this script
checks that their policy is not weakened, and that each exception has a reason and has not expired.
Run it in the root directory of the repository. `policy.py --self-test` checks the rules for exceptions.
"""

import datetime
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
# A setting that this script does not know must not pass unchecked.
KNOWN = {
    "graph": {"targets": None, "all-features": True},
    "licenses": {"allow": None, "confidence-threshold": None},
    "bans": {"multiple-versions": "allow", "wildcards": "deny"},
    "sources": {"unknown-registry": "deny", "unknown-git": "deny"},
    "advisories": {"version": 2, "unmaintained": "all", "unsound": "all", "yanked": "deny", "ignore": None},
}
# The longest time that an exception for an advisory is valid.
LONGEST_EXCEPTION = datetime.timedelta(days=90)


def check_known(policy):
    for section, settings in policy.items():
        for name, value in settings.items():
            known = KNOWN.get(section, {})
            if name not in known or known[name] not in (None, value):
                sys.exit(f"policy.py: cannot check {section}.{name} = {value!r} of .deny.toml; use cargo-deny")


def check_advisories(policy, today):
    """Yields what is wrong with the policy for advisories and with its exceptions."""
    section = policy.get("advisories", {})
    for name in KNOWN["advisories"]:
        if name not in section:
            yield f".deny.toml: advisories.{name} is missing"
    seen = set()
    for entry in section.get("ignore", []):
        name = entry.get("id", "") if isinstance(entry, dict) else entry
        if not isinstance(entry, dict) or not re.fullmatch(r"RUSTSEC-\d{4}-\d{4}", name):
            yield f".deny.toml: exception {name!r} is not a table with the id of an advisory"
            continue
        if name in seen:
            yield f".deny.toml: exception {name} is there twice"
        seen.add(name)
        reason = re.fullmatch(r"(.{20,}); until (\d{4}-\d{2}-\d{2})", entry.get("reason", ""))
        if not reason:
            yield f".deny.toml: exception {name} needs a reason that ends with '; until YYYY-MM-DD'"
            continue
        try:
            until = datetime.date.fromisoformat(reason[2])
        except ValueError:
            yield f".deny.toml: exception {name} ends on a day that does not exist"
            continue
        if until < today:
            yield f".deny.toml: exception {name} ended on {until}; update the dependency or review the exception"
        elif until - today > LONGEST_EXCEPTION:
            yield f".deny.toml: exception {name} lasts longer than {LONGEST_EXCEPTION.days} days"


def self_test():
    today = datetime.date(2026, 1, 31)
    complete = {"version": 2, "unmaintained": "all", "unsound": "all", "yanked": "deny"}

    def problems(*ignore):
        return list(check_advisories({"advisories": {**complete, "ignore": list(ignore)}}, today))

    def exception(reason, name="RUSTSEC-2026-0001"):
        return {"id": name, "reason": reason}

    why = "the vulnerable function is never called"
    assert problems() == []
    assert problems(exception(f"{why}; until 2026-04-30")) == []
    for ignore, expected in [
        (["RUSTSEC-2026-0001"], "is not a table"),
        ([exception(f"{why}; until 2026-04-30", "CVE-1")], "is not a table"),
        ([exception(why)], "needs a reason"),
        ([exception("x; until 2026-04-30")], "needs a reason"),
        ([exception(f"{why}; until 2026-02-30")], "does not exist"),
        ([exception(f"{why}; until 2026-01-30")], "ended on"),
        ([exception(f"{why}; until 2026-06-30")], "lasts longer"),
        ([exception(f"{why}; until 2026-04-30")] * 2, "is there twice"),
    ]:
        found = problems(*ignore)
        assert len(found) == 1 and expected in found[0], (ignore, found)
    assert len(list(check_advisories({}, today))) == len(KNOWN["advisories"])


def is_allowed(expression, allowed):
    """Evaluates an SPDX expression. AND binds more tightly than OR, WITH more tightly than AND."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        result = everything()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = everything() or result
        return result

    def everything():
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = one() and result
        return result

    def one():
        token = tokens.pop(0)
        if token == "(":
            result = alternatives()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in allowed

    return alternatives()


def packages(policy):
    """Yields each package that builds for one of the targets use, with its dependencies for tests."""
    found = {}
    for target in policy["graph"]["targets"]:
        command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1", "--filter-platform", target]
        metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        used = {node["id"] for node in metadata["resolve"]["nodes"]}
        found |= {package["id"]: package for package in metadata["packages"] if package["id"] in used}
    return found.values()


def main():
    policy = tomllib.loads(Path(".deny.toml").read_text())
    check_known(policy)
    allowed = set(policy["licenses"]["allow"])
    problems, used = list(check_advisories(policy, datetime.date.today())), set()
    count = 0
    for package in packages(policy):
        name = f"{package['name']} {package['version']}"
        count += 1
        license = package["license"]
        if not license:
            problems.append(f"{name}: has no license expression")
        elif not is_allowed(license, allowed):
            problems.append(f"{name}: license {license} is not in licenses.allow of .deny.toml")
        used |= {entry for entry in allowed if license and entry in license}
        if package["source"] is None:
            wild = [dep["name"] for dep in package["dependencies"] if dep["req"] == "*" and not dep.get("path")]
            problems += [f"{name}: the version of {dependency} is a wildcard" for dependency in wild]
        elif package["source"] != CRATES_IO:
            problems.append(f"{name}: is not from crates.io but from {package['source']}")
    problems += [f".deny.toml: no dependency has the license {entry}" for entry in sorted(allowed - used)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"licenses, sources and versions of {count} packages checked, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    self_test() if sys.argv[1:] == ["--self-test"] else main()
