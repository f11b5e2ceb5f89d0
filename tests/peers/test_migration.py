"""The steps of docs/migrate-from-oathkeeper.md while requests run. None may fail or get other claims."""

import contextlib

import pytest
from claimsmith import as_it_is, basic_authentication
from migration import RULES, WAYS
from programs import CLAIMSMITH, run, wait_until


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
