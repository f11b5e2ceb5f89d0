"""The steps of docs/migrate-from-oathkeeper.md while requests run. None may fail or get other claims."""

import contextlib

import pytest
from claimsmith import as_it_is, basic_authentication, imported
from load import Load
from oathkeeper import Oathkeeper, rule
from programs import CLAIMSMITH, run, wait_until
from tokens import lifetime, untimed, verified

# The rules, each with its claims and the lifetime of its tokens. `None` means the global claims.
RULES = {
    "people": (None, 900),
    "orders": ('{ "aud": ["orders"], "name": "{{ print .Extra.identity.traits.name }}" }', 60),
}
WAYS = {"as it is": as_it_is, "imported": imported}


class Migration:
    """An Oathkeeper that signs tokens itself, with users whose claims are known."""

    def __init__(self, oathkeeper, user):
        self.oathkeeper = oathkeeper
        self.clients = [("proxy", user.log_in_with_browser()), ("decisions", user.log_in_with_api())]
        self.jwks = [oathkeeper.jwks]
        self.expected = {}

    def claims(self, name, client):
        """Returns the claims of a token for a rule. Every key set in use must verify it."""
        entry, headers = self.clients[client]
        token = self.oathkeeper.token(entry, f"{name}.example.org", "/1", headers)
        found = [verified(token, jwks) for jwks in list(self.jwks)]
        assert lifetime(found[0]) == RULES[name][1]
        return untimed(found[0])

    def expect_present_claims(self):
        self.expected = {(name, client): self.claims(name, client) for name in RULES for client in (0, 1)}

    def check(self, name, client):
        assert self.claims(name, client) == self.expected[name, client]

    def load(self):
        return Load(*(lambda pair=pair: self.check(*pair) for pair in self.expected))

    def use_hydrator(self, service, name, marker=None):
        """Changes one rule as the guide says. `marker` is a new rule in the same change."""
        rules = self.oathkeeper.rules
        changed = next(one for one in rules if one["id"] == name)
        changed["mutators"] = [{"handler": "hydrator", "config": {"api": {"url": service.hydrate_like(changed)}}}]
        if marker:
            # Rules with equal configurations share a profile, so each has its own lifetime.
            mutator = {"handler": "id_token", "config": {"ttl": f"{120 + len(rules)}s"}}
            rules.append(rule(marker, f"{marker}.example.org", changed["upstream"]["url"], mutator))
        self.oathkeeper.write_rules()
        wait_until(lambda: self.oathkeeper.loaded() == self.oathkeeper.written(), "Oathkeeper loads the rules")


@pytest.fixture
def migration(kratos, upstream, tmp_path):
    oathkeeper = Oathkeeper.prepare(tmp_path, kratos)
    for name, (claims, ttl) in RULES.items():
        config = {} if claims is None else {"config": {"claims": claims, "ttl": f"{ttl}s"}}
        oathkeeper.rules.append(rule(name, f"{name}.example.org", upstream.url, {"handler": "id_token", **config}))
    oathkeeper.write_rules()
    with oathkeeper.serving():
        migration = Migration(oathkeeper, kratos.create_user({"name": "Zoe O'Neil"}))
        migration.expect_present_claims()
        yield migration


@pytest.mark.parametrize("way", WAYS)
def test_no_request_fails_while_rules_change_to_the_hydrator(migration, way):
    oathkeeper = migration.oathkeeper
    # The load ends before claimsmith does.
    with contextlib.ExitStack() as services, migration.load().running() as load:
        if way == "as it is":
            run(CLAIMSMITH, "check", "--oathkeeper", "oathkeeper.yml", directory=oathkeeper.directory)
        service = WAYS[way](oathkeeper)
        services.enter_context(service.serving())
        migration.jwks.append(service.jwks)
        oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
        wait_until(oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
        for name in RULES:
            marker = f"added-with-{name}" if way == "as it is" else None
            migration.use_hydrator(service, name, marker)
            # claimsmith reads the same rules. A reload that knows the new rule also knows the changed one.
            if marker:
                wait_until(lambda: service.has_profile(marker), "claimsmith loads the rules")
            counts, issued = list(load.counts), service.metric("claimsmith_http_requests_total")
            wait_until(lambda: load.is_past(counts), "requests continue")
            assert service.metric("claimsmith_http_requests_total") > issued
        if way == "imported":
            # Oathkeeper no longer needs its key, and no longer publishes it.
            migration.jwks.remove(oathkeeper.jwks)
            counts = list(load.counts)
            wait_until(lambda: load.is_past(counts), "verifiers use the key set of claimsmith")
            oathkeeper.disable_id_token()
            wait_until(oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
            counts = list(load.counts)
            wait_until(lambda: load.is_past(counts), "requests continue")


@pytest.mark.parametrize(("way", "names"), [("as it is", ["people"]), ("imported", ["people", "orders"])])
def test_changed_rules_keep_their_claims_after_a_restart(migration, way, names):
    oathkeeper = migration.oathkeeper
    service = WAYS[way](oathkeeper)
    with service.serving():
        oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
        wait_until(oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
        for name in names:
            migration.use_hydrator(service, name)
    with service.serving():
        for name, client in migration.expected:
            migration.check(name, client)


def test_check_reports_a_profile_that_a_restart_loses(migration):
    oathkeeper = migration.oathkeeper
    service = as_it_is(oathkeeper)
    oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
    wait_until(oathkeeper.has_applied_configuration, "Oathkeeper applies the configuration")
    migration.use_hydrator(service, "orders")
    # The claims of this rule are in no file any longer.
    with pytest.raises(AssertionError, match="orders"):
        run(CLAIMSMITH, "check", "--oathkeeper", "oathkeeper.yml", directory=oathkeeper.directory)
