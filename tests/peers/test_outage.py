"""Oathkeeper without a working claimsmith: it rejects every request, and recovers by itself."""

import pathlib
import signal

import pytest
from claimsmith import as_it_is, basic_authentication
from oathkeeper import Oathkeeper, rule
from programs import wait_until
from tokens import verified

HOST = "orders.example.org"
PROC = pathlib.Path("/proc")


@pytest.fixture
def oathkeeper(kratos, upstream, tmp_path):
    self = Oathkeeper.prepare(tmp_path, kratos)
    self.rules = [rule("orders", HOST, upstream.url, {"handler": "hydrator"})]
    self.write_rules()
    return self


@pytest.fixture
def service(oathkeeper):
    service = as_it_is(oathkeeper)
    retry = {"give_up_after": "200ms", "max_delay": "20ms"}
    oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication(), retry=retry)
    with oathkeeper.serving():
        yield service


def statuses(oathkeeper, headers):
    return [oathkeeper.response(entry, HOST, "/", headers).status for entry in ("proxy", "decisions")]


def is_stopped(process):
    states = [task.read_text().rpartition(")")[2].split()[0] for task in PROC.glob(f"{process.pid}/task/*/stat")]
    return states and set(states) == {"T"}


def test_oathkeeper_fails_closed_without_claimsmith_and_recovers(service, oathkeeper, kratos, upstream):
    headers = kratos.create_user({"name": "Zoe"}).log_in_with_browser()
    # A token of the client's own must not reach the upstream either.
    forged = {**headers, "Authorization": "Bearer a.b.c"}
    for _ in range(2):
        with service.serving() as process:
            wait_until(lambda: statuses(oathkeeper, headers) == [200, 200], "Oathkeeper recovers")
            for entry in ("proxy", "decisions"):
                assert verified(oathkeeper.token(entry, HOST, "/", forged), service.jwks)["session"]["active"]
            process.kill()
            process.wait()
        count = upstream.count
        for sent in (headers, forged):
            assert statuses(oathkeeper, sent) == [500, 500]
        assert upstream.count == count
    assert "Authorization" not in oathkeeper.response("decisions", HOST, "/", headers).headers


def test_oathkeeper_fails_closed_while_claimsmith_hangs_and_recovers(service, oathkeeper, kratos, upstream):
    headers = kratos.create_user({"name": "Zoe"}).log_in_with_api()
    with service.serving() as process:
        assert statuses(oathkeeper, headers) == [200, 200]
        count = upstream.count
        process.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: is_stopped(process), "every thread stops")
            assert statuses(oathkeeper, headers) == [500, 500]
        finally:
            process.send_signal(signal.SIGCONT)
        assert upstream.count == count
        wait_until(lambda: statuses(oathkeeper, headers) == [200, 200], "Oathkeeper recovers")


def test_oathkeeper_rejects_requests_if_its_password_is_wrong(service, oathkeeper, kratos, upstream):
    headers = kratos.create_user({"name": "Zoe"}).log_in_with_api()
    oathkeeper.enable_hydrator(
        service.hydrate("id_token"), auth={"basic": {"username": "oathkeeper", "password": "another-password"}}
    )
    with service.serving():
        wait_until(lambda: statuses(oathkeeper, headers) == [500, 500], "Oathkeeper applies the password")
        count = upstream.count
        assert statuses(oathkeeper, headers) == [500, 500] and upstream.count == count
        assert service.metric("claimsmith_failures_total") > 0
