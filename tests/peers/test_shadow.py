"""Shadow mode, as the section Compare of docs/migrate-from-oathkeeper.md describes it.

claimsmith signs with a key of its own, except while rules change, so that the key of a token shows who signed it.
"""

import contextlib
import json

import pytest
import yaml
from claimsmith import Claimsmith, as_it_is, basic_authentication, imported, profile_like
from migration import RULES
from oathkeeper import ISSUER, Oathkeeper, generate_key, rule
from programs import wait_until, write
from test_claims import FAILS, HOSTILE, ORDINARY, PROFILES, ROLES, SAME, USERS
from tokens import untimed, verified

SERVICES = {"imported": imported, "as it is": as_it_is}
ENTRIES = {"proxy": "cookie", "decisions": "session token"}
CLIENTS = [(user, entry) for user in ("plain", "unicode") for entry in ENTRIES]
CLIENTS += [("large", "proxy"), ("numbers", "decisions")]
COMPARISONS = "claimsmith_shadow_comparisons_total"
# The message of the log for each result.
MESSAGES = {
    "different": '"shadow: claims differ',
    "failed": '"shadow: nothing to compare with',
    "refused": '"shadow: session would get no token',
}
RESULTS = ("equal", "different", "refused", "failed")
# No log may contain this part of a trait.
CANARY = "canary-7f3a"


def hydrator(service, profile):
    return {"handler": "hydrator", "config": {"api": {"url": service.hydrate(profile), "auth": basic_authentication()}}}


def own_key(directory):
    """Returns the URL of a new key set that Oathkeeper does not have."""
    file = directory / "own.jwks.json"
    generate_key(file, "ES256")
    return f"file://{file}"


def log_of(service):
    return (service.directory / "claimsmith.log").read_text()


def fields(oathkeeper, entry, host, headers, path="/a/b"):
    """Returns the header fields that Oathkeeper passes on to the upstream."""
    response = oathkeeper.response(entry, host, path, headers)
    assert response.status == 200, f"{entry} {host}{path}: {response.status} {response.body!r}"
    passed = json.loads(response.body)["fields"] if entry == "proxy" else response.headers.items()
    return sorted([name, value] for name, value in passed if name != "Date")


def split(passed):
    """Returns the only token in header fields, and the other fields."""
    (authorization,) = [value for name, value in passed if name == "Authorization"]
    scheme, token = authorization.split(" ")
    assert scheme == "Bearer"
    return token, [field for field in passed if field[0] != "Authorization"]


def verifies(token, jwks):
    """Returns `True` if a key set has the key of a token, which must verify then."""
    with contextlib.suppress(AssertionError):
        return bool(verified(token, jwks))
    return False


class Comparison:
    """An Oathkeeper with a claimsmith in shadow mode behind it."""

    def __init__(self, oathkeeper, service):
        self.oathkeeper, self.service = oathkeeper, service

    def counts(self, profile):
        return {result: self.service.metric(COMPARISONS, profile=profile, result=result) for result in RESULTS}

    @contextlib.contextmanager
    def expect(self, profile, result):
        """Expects that the request in the block has this result. Yields a list that then has its line of the log, or the
        earlier lines of which one is equal, because claimsmith logs equal lines once a minute."""
        before, length, lines = self.counts(profile), len(log_of(self.service)), []
        yield lines
        after = self.counts(profile)
        assert after == {**before, result: before[result] + 1}
        if result != "equal":
            lines_of = lambda log: [line for line in log.splitlines() if MESSAGES[result] in line and f'"{profile}"' in line]
            found = lambda: lines_of(log_of(self.service)[length:]) or lines_of(log_of(self.service))
            lines.extend(map(json.loads, wait_until(found, "claimsmith logs the result")))

    def claims(self, entry, host, headers):
        """Returns the claims of the token that the upstream receives. Oathkeeper must have signed it."""
        token, _ = split(fields(self.oathkeeper, entry, host, headers))
        return untimed(verified(token, self.oathkeeper.jwks))


def host(profile, mode):
    return f"{profile}.{mode}.example.org"


@pytest.fixture(scope="module", params=SERVICES)
def served(request, kratos, upstream, tmp_path_factory):
    """Runs Oathkeeper with each rule twice: with its own mutator, and with a claimsmith that compares."""
    oathkeeper = Oathkeeper.prepare(tmp_path_factory.mktemp("oathkeeper"), kratos)
    for profile, claims in PROFILES.items():
        mutator = {"handler": "id_token"} if claims is None else {"handler": "id_token", "config": {"claims": claims}}
        oathkeeper.rules.append(rule(profile, host(profile, "alone"), upstream.url, mutator))
    oathkeeper.write_rules()
    jwks, environment, own_rules = own_key(oathkeeper.directory), {}, list(oathkeeper.rules)
    for profile in map(profile_like, own_rules):
        variable = f"CLAIMSMITH_PROFILES_{profile.upper()}"
        environment |= {f"{variable}_SHADOW": "true", f"{variable}_JWKS": jwks}
    service = SERVICES[request.param](oathkeeper, **environment)
    for own in own_rules:
        mutators = [*own["mutators"], hydrator(service, profile_like(own))]
        oathkeeper.rules.append(rule(f"{own['id']}, compared", host(own["id"], "compared"), upstream.url, *mutators))
    oathkeeper.enable_hydrator(service.hydrate("id_token"))
    oathkeeper.write_rules()
    with service.serving(), oathkeeper.serving():
        yield Comparison(oathkeeper, service)


def profile_of(name):
    return "id_token" if PROFILES[name] is None else name


@pytest.mark.parametrize(("user", "entry"), CLIENTS, ids=[", ".join(client) for client in CLIENTS])
@pytest.mark.parametrize("name", PROFILES)
def test_upstream_receives_the_token_of_oathkeeper_alone(served, users, name, user, entry):
    headers = users(ENTRIES[entry], *USERS[user])
    token, others = split(fields(served.oathkeeper, entry, host(name, "alone"), headers))
    with served.expect(profile_of(name), "equal"):
        compared, others_compared = split(fields(served.oathkeeper, entry, host(name, "compared"), headers))
    assert others_compared == others
    own, claims = (untimed(verified(one, served.oathkeeper.jwks)) for one in (token, compared))
    assert claims == own


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_traits_are_compared_but_not_logged(served, users, value):
    entry, credential = "proxy", "session token"
    headers = users(credential, {**ORDINARY, "name": value + CANARY}, ROLES)
    compared = host("person", "compared")
    if HOSTILE[value] == FAILS:
        before = served.counts("person")
        assert served.oathkeeper.response(entry, compared, "/a/b", headers).status == 500
        assert served.counts("person") == before
    else:
        own = served.claims(entry, host("person", "alone"), headers)
        with served.expect("person", "equal" if HOSTILE[value] == SAME else "different") as lines:
            assert served.claims(entry, compared, headers) == own
        assert all(line["level"] == "WARN" and line["profile"] == "person" for line in lines)
        assert not lines or any({"name", "greeting"} <= set(json.loads(line["paths"])) for line in lines)
    # Names of members are hostile too.
    headers = users(credential, {**ORDINARY, "name": "Zoe", value: [value, {value: CANARY}]})
    with served.expect("typed", "equal"):
        served.claims(entry, host("typed", "compared"), headers)
    assert CANARY not in log_of(served.service)


@pytest.mark.parametrize("entry", ENTRIES)
def test_injected_claim_is_a_difference(served, users, entry):
    headers = users(ENTRIES[entry], {**ORDINARY, "name": f'","admin":"{CANARY}","x":"'}, ROLES)
    with served.expect("person", "different") as lines:
        assert served.claims(entry, host("person", "compared"), headers)["admin"] == CANARY
    # Names that come from the trait are not logged.
    paths = [set(json.loads(line["paths"])) for line in lines]
    assert any({"name", "(a name from a value of the session)"} <= one for one in paths)
    assert not any({"admin", "x"} & one for one in paths)
    assert CANARY not in log_of(served.service)


# Oathkeeper's claims in the tests below. No name is a value of the session, because such names are not logged.
CLAIMS = """{
    "name": "{{ print .Extra.identity.traits.name }}",
    "holder": {
        "roles": {{ .Extra.identity.metadata_public.roles | toJson }},
        "age": {{ print .Extra.identity.traits.age }}
    }
}"""
EQUAL = """{
    "name": "{{Extra.identity.traits.name}}",
    "holder": { "roles": {{Extra.identity.metadata_public.roles}}, "age": {{Extra.identity.traits.age}} }
}"""
DIFFERENT = """{
    "name": "{{Extra.identity.traits.name}}",
    "holder": {
        "roles": ["{{Extra.identity.metadata_public.roles.0}}", "none"],
        "age": "{{Extra.identity.traits.age}}"
    },
    "mail": "{{Extra.identity.traits.email}}"
}"""
REQUIRES = """{ "name": "{{Extra.identity.traits.name}}", "plan": "{{required Extra.identity.traits.plan}}" }"""
# The template and settings of each profile, with the result and a part of its log line.
CASES = {
    "equal": (EQUAL, {}, "equal", ""),
    "different": (DIFFERENT, {}, "different", '["holder.age","holder.roles[1]","mail"]'),
    "requires": (REQUIRES, {}, "refused", "identity.traits.plan"),
    "ended": (EQUAL, {"expires_with": "Extra.identity.traits.until"}, "refused", "session.expired"),
    "endless": (EQUAL, {"expires_with": "Extra.identity.traits.end"}, "refused", "identity.traits.end"),
    "before": (EQUAL, {}, "failed", "put the hydrator after id_token"),
}


class Profiles:
    """A configuration of claimsmith with the profiles of `CASES`, all in shadow mode."""

    def __init__(self, oathkeeper):
        self.service = Claimsmith(oathkeeper.directory, ["--config", "claimsmith.yaml"], {})
        common = {"issuer": ISSUER, "jwks": own_key(oathkeeper.directory), "shadow": True}
        self.profiles = {name: {**common, **settings} for name, (_, settings, *_) in CASES.items()}
        for name, (template, *_) in CASES.items():
            write(oathkeeper.directory / "templates" / name / "claims.hbs", template)
        self.write()

    def write(self):
        write(self.service.directory / "claimsmith.yaml", yaml.safe_dump({"profiles": self.profiles}))


@pytest.fixture
def profiles(kratos, upstream, tmp_path):
    oathkeeper = Oathkeeper.prepare(tmp_path, kratos)
    profiles = Profiles(oathkeeper)
    for name in CASES:
        mutators = [{"handler": "id_token", "config": {"claims": CLAIMS}}, hydrator(profiles.service, name)]
        if name == "before":
            mutators.reverse()
        oathkeeper.rules.append(rule(name, host(name, "compared"), upstream.url, *mutators))
    oathkeeper.enable_hydrator(profiles.service.hydrate("equal"))
    oathkeeper.write_rules()
    with profiles.service.serving(), oathkeeper.serving():
        profiles.compared = Comparison(oathkeeper, profiles.service)
        yield profiles


def test_results_are_counted_and_logged_while_oathkeeper_signs(profiles, kratos):
    user = kratos.create_user({**ORDINARY, "name": CANARY, "until": "2020-02-02T20:20:20Z"}, ROLES)
    clients = {"proxy": user.log_in_with_browser(), "decisions": user.log_in_with_api()}
    compared = profiles.compared
    for entry, headers in clients.items():
        expected = compared.claims(entry, host("equal", "compared"), headers)
        assert expected["name"] == CANARY
        for name, (_, _, result, text) in CASES.items():
            with compared.expect(name, result) as lines:
                assert compared.claims(entry, host(name, "compared"), headers) == expected
            assert all(line["level"] == "WARN" and line["profile"] == name for line in lines)
            values = [value for line in lines for value in line.values() if isinstance(value, str)]
            assert not lines or any(text in value for value in values), (text, lines)
    log = log_of(profiles.service)
    assert not [secret for secret in (CANARY, user.email, user.id, "2020-02-02") if secret in log]
    assert profiles.service.metric("claimsmith_tokens_issued_total") == 0


def test_hydrator_signs_again_once_shadow_mode_ends(profiles, kratos):
    compared, oathkeeper, service = profiles.compared, profiles.compared.oathkeeper, profiles.service
    headers = kratos.create_user(ORDINARY, ROLES).log_in_with_api()
    target = host("equal", "compared")
    claims = compared.claims("proxy", target, headers)
    passed = lambda: split(fields(oathkeeper, "proxy", target, headers))[0]
    is_ours = lambda: verifies(passed(), service.jwks)

    # Both mutators are in the rule, and the last one sets the header. Oathkeeper's key set cannot verify its token.
    for name in ("equal", "before"):
        profiles.profiles[name]["shadow"] = False
    profiles.write()
    wait_until(is_ours, "claimsmith signs")
    assert untimed(verified(passed(), service.jwks)) == claims
    assert not verifies(passed(), oathkeeper.jwks)
    assert compared.claims("proxy", host("before", "compared"), headers) == claims

    changed = next(one for one in oathkeeper.rules if one["id"] == "equal")
    changed["mutators"].pop(0)
    oathkeeper.write_rules()
    wait_until(lambda: oathkeeper.loaded() == oathkeeper.written(), "Oathkeeper loads the rules")
    assert untimed(verified(passed(), service.jwks)) == claims

    # Without the `id_token` mutator, shadow mode leaves the client's own header in place.
    profiles.profiles["equal"]["shadow"] = True
    profiles.write()
    failed = lambda: compared.counts("equal")["failed"]
    wait_until(lambda: fields(oathkeeper, "proxy", target, headers) and failed(), "shadow mode begins")
    authorization = [value for name, value in fields(oathkeeper, "proxy", target, headers) if name == "Authorization"]
    assert authorization == [headers["Authorization"]]


def test_requests_fail_without_claimsmith(migration):
    # Shadow mode needs a running claimsmith, although Oathkeeper signs.
    service = as_it_is(migration.oathkeeper, CLAIMSMITH_PROFILES_ID_TOKEN_SHADOW="true")
    migration.oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
    with service.serving():
        wait_until(migration.oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
        migration.add_hydrator(service, "people")
        migration.check("people", 0)
    response = migration.oathkeeper.response("proxy", "people.example.org", "/1", migration.clients[0][1])
    assert response.status == 500
    migration.check("orders", 0)


def as_copied(oathkeeper):
    """Returns a claimsmith that reads a copy of Oathkeeper's files, and its configuration file."""
    for name in ("oathkeeper.yml", "access-rules.yml"):
        write(oathkeeper.directory / "before" / name, (oathkeeper.directory / name).read_text())
    config = write(oathkeeper.directory / "claimsmith.yaml", "{}")
    arguments = ["--oathkeeper", "before/oathkeeper.yml", "--config", "claimsmith.yaml"]
    environment = {"ACCESS_RULES_REPOSITORIES": "file://before/access-rules.yml"}
    return Claimsmith(oathkeeper.directory, arguments, environment), config


def as_imported(oathkeeper):
    return imported(oathkeeper), oathkeeper.directory / "claimsmith" / "claimsmith.yaml"


@pytest.mark.parametrize("prepare", [as_copied, as_imported], ids=["as it is", "imported"])
def test_no_request_fails_while_shadow_mode_begins_and_ends(migration, prepare):
    oathkeeper = migration.oathkeeper
    service, file = prepare(oathkeeper)
    config = yaml.safe_load(file.read_text())
    profiles = [profile_like(one) for one in oathkeeper.rules]

    def write_shadow(shadow):
        for profile in profiles:
            config.setdefault("profiles", {}).setdefault(profile, {})["shadow"] = shadow
        write(file, yaml.safe_dump(config))

    def wait_for_requests(load, metric):
        """Waits until requests of each client increase a metric, and no longer increase the other one."""
        metrics = {COMPARISONS, "claimsmith_token_cache_lookups_total"}
        (other,) = metrics - {metric}

        def is_applied():
            counts, before, others = list(load.counts), service.metric(metric), service.metric(other)
            wait_until(lambda: load.is_past(counts), "requests continue")
            return service.metric(metric) >= before + len(counts) and service.metric(other) == others

        wait_until(is_applied, f"requests increase only {metric}")

    # The load ends before claimsmith does.
    with contextlib.ExitStack() as services, migration.load().running() as load:
        write_shadow(True)
        services.enter_context(service.serving())
        migration.jwks.append(service.jwks)
        oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
        wait_until(oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
        for name in RULES:
            migration.add_hydrator(service, name)
        wait_for_requests(load, COMPARISONS)
        for shadow in (False, True, False):
            write_shadow(shadow)
            wait_for_requests(load, COMPARISONS if shadow else "claimsmith_token_cache_lookups_total")
        for name in RULES:
            migration.use_hydrator(service, name)
        wait_for_requests(load, "claimsmith_token_cache_lookups_total")
        compared = service.metric(COMPARISONS)
        assert compared == sum(service.metric(COMPARISONS, profile=one, result="equal") for one in profiles) > 0
        assert {handler for ((handler, _),) in oathkeeper.loaded().values()} == {"hydrator"}
