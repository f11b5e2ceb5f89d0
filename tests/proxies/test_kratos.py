"""The whole way with a real Kratos: a browser logs in, its token reaches the upstream, it logs out."""

import urllib.parse

import client
import kratos as kratos_program
import proxies
import pytest
import service
import upstream
from kratos import COOKIE, Browser
from tokens import verified

pytestmark = pytest.mark.skipif(not kratos_program.BINARY.exists(), reason="Kratos is not built; `make peers` builds it")

ORIGIN = "https://app.example.org"
LOGIN = "https://id.example.org/self-service/login/browser"
PAGE = ("Accept", "text/html")


@pytest.fixture(scope="module")
def kratos(tmp_path_factory):
    with kratos_program.serving(tmp_path_factory.mktemp("kratos"), [ORIGIN]) as service:
        yield service


@pytest.mark.parametrize("kind", proxies.ALL, ids=lambda kind: kind.__name__.lower())
def test_browser_logs_in_returns_and_logs_out(kind, kratos, tmp_path):
    with upstream.recording() as recorder:
        address = urllib.parse.urlsplit(kratos.public).netloc
        claimsmith, proxy = service.prepared(kind, address, recorder.address, tmp_path)
        with claimsmith.serving(), proxy.serving():
            user, browser = kratos.create_user({"name": "Zoe \"M\" \u00fc"}), Browser()
            denied = client.request(proxy, [PAGE], target="/orders?page=2&sort=a%20b")
            assert denied.status == 302, denied.body
            login = denied.headers["Location"].replace(LOGIN, f"{kratos.public}/self-service/login/browser")
            assert browser.complete(login, user.password_form()) == f"{ORIGIN}/orders?page=2&sort=a%20b"

            cookie = client.session(browser.jar[COOKIE].coded_value)
            token = user.log_in_with_api()["Authorization"].removeprefix("Bearer ")
            credentials = [cookie, ("X-Session-Token", token), ("Authorization", f"Bearer {token}")]
            for credential in credentials:
                recorder.requests.clear()
                assert client.request(proxy, [credential, ("X-User-Id", "forged")]).status == 200
                (request,) = recorder.requests
                claims = verified(request.token, claimsmith.jwks)
                assert claims["sub"] == claims["session"]["identity"]["id"] == user.id
                assert request.values("X-User-Id") == [user.id]

            recorder.requests.clear()
            browser.log_out(kratos)
            assert client.request(proxy, [cookie]).status == 401
            user.disable()
            assert client.request(proxy, [credentials[1]]).status == 401
            assert recorder.requests == []
