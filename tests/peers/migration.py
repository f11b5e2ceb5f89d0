"""An Oathkeeper whose own tokens are replaced by those of claimsmith, rule by rule."""

import contextlib

from claimsmith import as_it_is, imported
from load import Load
from oathkeeper import Oathkeeper, rule
from programs import wait_until
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

    def add_hydrator(self, service, name):
        """Adds the `hydrator` after the `id_token` mutator of one rule."""
        changed = next(one for one in self.oathkeeper.rules if one["id"] == name)
        mutator = {"handler": "hydrator", "config": {"api": {"url": service.hydrate_like(changed)}}}
        changed["mutators"].append(mutator)
        self.oathkeeper.write_rules()
        wait_until(lambda: self.oathkeeper.loaded() == self.oathkeeper.written(), "Oathkeeper loads the rules")

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


@contextlib.contextmanager
def starting(kratos, upstream, directory):
    """Runs an Oathkeeper with the `id_token` mutator in each of `RULES`."""
    oathkeeper = Oathkeeper.prepare(directory, kratos)
    for name, (claims, ttl) in RULES.items():
        config = {} if claims is None else {"config": {"claims": claims, "ttl": f"{ttl}s"}}
        oathkeeper.rules.append(rule(name, f"{name}.example.org", upstream.url, {"handler": "id_token", **config}))
    oathkeeper.write_rules()
    with oathkeeper.serving():
        migration = Migration(oathkeeper, kratos.create_user({"name": "Zoe O'Neil"}))
        migration.expect_present_claims()
        yield migration
