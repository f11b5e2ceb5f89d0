"""A check that requires a recent login: who logged in long ago is sent to log in again, but never without end."""

import datetime
import urllib.parse

import client
import proxies
import pytest
import service
import upstream
import whoami

PAGE = ("Accept", "text/html")


@pytest.mark.parametrize("kind", proxies.ALL, ids=lambda kind: kind.__name__.lower())
def test_old_login_is_refreshed_and_one_just_now_is_not_redirected(kind, tmp_path):
    with whoami.serving() as kratos, upstream.recording() as recorder:
        claimsmith, proxy = service.prepared(kind, kratos.address, recorder.address, tmp_path)

        def ask(ago, *fields):
            at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)
            cookie, _ = kratos.log_in(authenticated_at=at.isoformat())
            return client.request(proxy, [client.session(cookie), *fields], target="/orders?page=2")

        claimsmith.environment["CLAIMSMITH_CHECKS_WEB_REQUIRE"] = "{ max_auth_age: 15m }"
        with claimsmith.serving(), proxy.serving():
            assert ask(60, PAGE).status == 200
            old = ask(3600, PAGE)
            assert old.status == 302, old.body
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(old.headers["Location"]).query)
            assert query == {"refresh": ["true"], "return_to": ["https://app.example.org/orders?page=2"]}
            recorder.requests.clear()
            api = ask(3600)
            assert api.status == 401 and 'max_age="900"' in api.headers["WWW-Authenticate"], api.headers

        # The login cannot make this session more recent than it is, so a redirect would repeat without end.
        claimsmith.environment["CLAIMSMITH_CHECKS_WEB_REQUIRE"] = "{ max_auth_age: 1s }"
        with claimsmith.serving(), proxy.serving():
            response = ask(3, PAGE)
            assert response.status == 401 and "Location" not in response.headers, response.headers
        assert recorder.requests == []
