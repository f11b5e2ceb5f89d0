"""What only Envoy's own settings decide: how the path reaches claimsmith, how long Envoy waits, and what it overwrites."""

import time

import client
import pytest
from programs import wait_until
from proxies import Envoy, EnvoyGrpc
from service import changed
from tokens import verified

PAGE = ("Accept", "text/html")
LOGIN = "https://id.example.org/self-service/login/browser"


def test_path_of_a_client_never_leaves_the_check(tmp_path):
    with changed(Envoy, tmp_path, {"normalize_path: true": "normalize_path: false"}) as (proxy, kratos, recorder, _):
        cookie, _ = kratos.log_in()
        for target in ("/../open/x", "/../../ext-authz/open/x", "/..%2fopen/x", "/%2e%2e/open/x", "/a/../../open/x"):
            assert client.request(proxy, target=target).status == 401, target
            assert recorder.requests == []
            assert client.request(proxy, [client.session(cookie)], target=target).status == 200, target
            assert recorder.requests.pop().path == target


def test_fixed_path_hides_only_where_the_login_returns_to(tmp_path):
    with changed(Envoy, tmp_path, {"path_prefix: /ext-authz/web": "path_override: /ext-authz/web"}) as parts:
        proxy, kratos, recorder, claimsmith = parts
        cookie, identity = kratos.log_in()
        assert client.request(proxy, [client.session(cookie)], method="POST", target="/a?b=c", body=b"d").status == 200
        (request,) = recorder.requests
        assert (request.path, verified(request.token, claimsmith.jwks)["sub"]) == ("/a?b=c", identity)
        denied = client.request(proxy, [PAGE], target="/a?b=c")
        assert (denied.status, denied.headers["Location"]) == (302, LOGIN)


@pytest.mark.parametrize(
    ("kind", "changes"),
    # Over gRPC, 200 ms is the default.
    [(Envoy, {"timeout: 3s": "timeout: 0.2s"}), (EnvoyGrpc, {"                        timeout: 3s\n": ""})],
    ids=["envoy", "envoygrpc"],
)
def test_claimsmith_that_is_slower_than_the_timeout_fails_closed(tmp_path, kind, changes):
    with changed(kind, tmp_path, changes) as (proxy, kratos, recorder, _):
        cookie, _ = kratos.log_in()
        kratos.delay = 1
        start = time.monotonic()
        response = client.request(proxy, [client.session(cookie), ("Authorization", "Bearer forged")])
        assert (response.status, recorder.requests) == (503, []), response.body
        assert 0.15 < time.monotonic() - start < 0.9
        kratos.delay = 0
        # Requests with one credential share a call, so the slow one must end first.
        passes = lambda: client.request(proxy, [client.session(cookie)]).status == 200
        wait_until(passes, "the proxy recovers")


@pytest.mark.parametrize("plan", [None, "gold"])
@pytest.mark.parametrize("kind", [Envoy, EnvoyGrpc], ids=lambda kind: kind.__name__.lower())
def test_header_of_a_missing_claim_is_overwritten_too(tmp_path, kind, plan):
    # Over gRPC, Envoy needs no list.
    changes = {"{ exact: x-user-id }": "{ exact: x-user-id }, { exact: x-plan }"} if kind is Envoy else {}
    environment = {"CLAIMSMITH_CHECKS_WEB_HEADERS": "{ X-User-Id: sub, X-Plan: session.plan }"}
    with changed(kind, tmp_path, changes, environment) as (proxy, kratos, recorder, _):
        cookie, _ = kratos.log_in(**({"plan": plan} if plan else {}))
        for forged in ([("X-Plan", "forged")], [("X-Plan", "forged"), ("x-plan", "forged")]):
            assert client.request(proxy, [client.session(cookie), *forged]).status == 200
            assert recorder.requests.pop().values("X-Plan") in ([plan or ""], [])
