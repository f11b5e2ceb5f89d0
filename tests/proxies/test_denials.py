"""What a client gets that has no sufficient session, and what it gets while something is down."""

import contextlib
import json
import os
import signal
import time
import urllib.parse

import client
import pytest
from programs import wait_until

PAGE = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
LOGIN = "https://id.example.org/self-service/login/browser"
STEP_UP = f"{LOGIN}?aal=aal2"
TARGET = "/orders?page=2&sort=a%20b"


def refused(stand, fields, **request):
    """Returns the response to a request that must not reach the upstream."""
    response, requests = stand.recorded(lambda: client.request(stand.proxy, fields, **request))
    assert requests == [], requests
    return response


def location(response):
    """Returns the URL of a redirect without its query, and the query."""
    assert response.status == 302, (response.status, response.body)
    parts = urllib.parse.urlsplit(response.headers["Location"])
    query = {name: value for name, (value,) in urllib.parse.parse_qs(parts.query).items()}
    return parts._replace(query="").geturl(), query


def passes_responses(stand):
    """Returns `True` if the proxy passes the responses of claimsmith on as they are."""
    return stand.proxy.endpoint != "auth-request"


def test_client_without_a_session_gets_401_with_a_challenge(stand):
    for fields in ([], [client.session("unknown")], [("X-User-Id", "u"), ("Authorization", "Basic dTpw")]):
        response = refused(stand, fields)
        assert response.status == 401, response.body
        assert response.headers.get_all("WWW-Authenticate") == ["Bearer"]
        if passes_responses(stand):
            assert json.loads(response.body)["type"] == "session.required"


def test_browser_without_a_session_is_sent_to_the_login_and_back(stand):
    url, query = location(refused(stand, [PAGE], target=TARGET))
    assert (url, query) == (LOGIN, {"return_to": f"https://app.example.org{TARGET}"})


def test_only_page_views_are_redirected(stand):
    for method, fields in (("POST", [PAGE]), ("GET", [("Accept", "application/json")]), ("GET", [("Accept", "*/*")])):
        response = refused(stand, fields, method=method)
        assert response.status == 401, (method, fields, response.body)


def test_client_cannot_choose_where_the_login_returns_to(stand):
    evil = "evil.example"
    for fields in (
        [("X-Original-URL", f"https://{evil}/")],
        [("X-Original-URI", f"//{evil}/"), ("X-Original-Method", "GET")],
        [("X-Original_URL", f"https://{evil}/")],
        [("X-Forwarded-Host", evil), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Uri", f"/@{evil}")],
        [("X-Forwarded-Method", "GET"), ("X_Forwarded_Host", evil)],
        [("Forwarded", f"host={evil};proto=https")],
        [("Connection", "X-Forwarded-Host, X-Original-URL"), ("X-Forwarded-Host", evil)],
    ):
        response = refused(stand, [PAGE, *fields], target=TARGET)
        assert evil not in str(response.headers), response.headers
        if response.status == 302:
            assert location(response)[1] in ({"return_to": f"https://app.example.org{TARGET}"}, {}), fields
        else:
            assert response.status >= 400


def test_session_that_kratos_finds_too_weak_needs_a_second_factor(stand):
    cookie, _ = stand.whoami.log_in()
    stand.whoami.responds(403, {"error": {"id": "session_aal2_required"}, "redirect_browser_to": STEP_UP})
    url, query = location(refused(stand, [client.session(cookie), PAGE], target=TARGET))
    assert url == LOGIN
    assert query == {"aal": "aal2", "return_to": f"https://app.example.org{TARGET}"}
    response = refused(stand, [client.session(cookie)])
    assert response.status == 401, response.body
    assert 'error="insufficient_user_authentication"' in response.headers["WWW-Authenticate"]


def test_failing_kratos_is_a_failure_and_never_a_missing_session(stand):
    cookie, _ = stand.whoami.log_in()
    for status in (500, 502, 503):
        stand.whoami.responds(status, {"error": {"code": status}})
        response = refused(stand, [client.session(cookie), PAGE])
        assert response.status == (503 if passes_responses(stand) else 500), response.body


def test_kratos_that_is_too_slow_is_a_failure(stand):
    cookie, _ = stand.whoami.log_in()
    stand.whoami.delay = 20
    start = time.monotonic()
    response = refused(stand, [client.session(cookie)])
    assert response.status == (503 if passes_responses(stand) else 500), response.body
    assert time.monotonic() - start < 15


def test_rate_limit_of_kratos_is_no_missing_session(stand):
    cookie, _ = stand.whoami.log_in()
    stand.whoami.responds(429, {}, {"Retry-After": "7"})
    response = refused(stand, [client.session(cookie), PAGE])
    if passes_responses(stand):
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    else:
        assert response.status == 500, response.body


def test_logout_takes_effect_with_the_next_request(stand):
    cookie, _ = stand.whoami.log_in()
    assert client.request(stand.proxy, [client.session(cookie)]).status == 200
    stand.whoami.log_out(cookie)
    assert refused(stand, [client.session(cookie)]).status == 401


@contextlib.contextmanager
def suspended(process):
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_proxy_fails_closed_while_claimsmith_hangs(stand):
    cookie, _ = stand.whoami.log_in()
    with suspended(stand.process):
        start = time.monotonic()
        response = refused(stand, [client.session(cookie)])
        assert response.status == stand.proxy.timeout_status, response.body
        assert time.monotonic() - start < stand.proxy.timeout_seconds
    passes = lambda: client.request(stand.proxy, [client.session(cookie)]).status == 200
    wait_until(passes, "the proxy recovers")
