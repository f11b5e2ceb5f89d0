"""What reaches the service behind a proxy: the token of the session, and nothing that a client made up."""

import concurrent.futures
import hashlib
import json

import client
import pytest
from tokens import verified

TARGET = "/a%2Fb/%C3%BC?x=1&y=%20"
FORGED = "forged-by-the-client"

# Headers that a client can send beside its session cookie. A CGI program reads each name of the second group as X-User-Id.
FORGERIES = {
    "basic": [("Authorization", f"Basic {FORGED}")],
    "jwt": [("Authorization", f"Bearer eyJhbGciOiJub25lIn0.{FORGED}.")],
    "two authorizations": [("Authorization", f"Bearer {FORGED}"), ("authorization", f"Bearer {FORGED}")],
    "token in a list": [("Authorization", f"Bearer {FORGED}, Bearer {FORGED}")],
    "user": [("X-User-Id", FORGED)],
    "two users": [("X-User-Id", FORGED), ("x-user-id", FORGED)],
    "empty user": [("X-User-Id", "")],
    "underscores": [("X_User_Id", FORGED)],
    "one underscore": [("X-User_Id", FORGED)],
    "dots": [("X.User.Id", FORGED)],
    "exclamation marks": [("X!User!Id", FORGED)],
    "plus signs": [("X+User+Id", FORGED)],
    "tildes": [("x~user~id", FORGED)],
    "all": [("X-User-Id", FORGED), ("X_User_Id", FORGED), ("X.User.Id", FORGED), ("X*User*Id", FORGED)],
    "hop by hop": [("Connection", "Authorization, X-User-Id"), ("X-User-Id", FORGED)],
    "cookie of no session": [("Cookie", f"theme=dark; other_session={FORGED}")],
}


def test_token_of_the_session_reaches_the_upstream_and_verifies(stand):
    cookie, identity = stand.whoami.log_in()
    response, (request,) = stand.recorded(lambda: client.request(stand.proxy, [client.session(cookie)], target=TARGET))
    assert response.status == 200, response.body
    assert request.path == TARGET
    claims = verified(request.token, stand.claimsmith.jwks)
    assert claims["sub"] == identity and claims["aud"] == ["app"], claims
    assert claims["session"] == stand.whoami.sessions[cookie]
    assert request.values("X-User-Id") == [identity]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_upstream_with_a_token(stand, method):
    cookie, identity = stand.whoami.log_in()
    body = b"" if method in ("POST", "PUT", "PATCH") else None
    send = lambda: client.request(stand.proxy, [client.session(cookie)], method=method, body=body)
    response, (request,) = stand.recorded(send)
    assert (response.status, request.method) == (200, method)
    assert verified(request.token, stand.claimsmith.jwks)["sub"] == identity


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_headers_that_a_client_made_up_never_reach_the_upstream(stand, forgery):
    cookie, identity = stand.whoami.log_in()
    response, requests = stand.recorded(lambda: client.request(stand.proxy, [client.session(cookie), *forgery]))
    assert len(requests) == (response.status == 200), (response.status, response.body)
    for request in requests:
        assert request.values("X-User-Id") in ([identity], []), request.fields
        assert all(FORGED not in value for value in request.values("Authorization")), request.fields
        if request.values("Authorization"):
            assert verified(request.token, stand.claimsmith.jwks)["sub"] == identity
    # Without a session, the same headers give access to nothing.
    response, requests = stand.recorded(lambda: client.request(stand.proxy, forgery))
    assert response.status >= 400 and requests == [], (response.status, response.body)


# Headers that are about the response of the upstream, and must not change claimsmith's.
HABITS = {
    **{name: FORGERIES[name] for name in ("basic", "jwt", "user", "two users", "empty user", "cookie of no session")},
    "conditions": [("If-None-Match", "*"), ("If-Modified-Since", "Sun, 29 Nov 2026 00:00:00 GMT")],
    "range": [("Range", "bytes=0-0"), ("Accept-Encoding", "gzip, br, zstd"), ("TE", "trailers")],
    "other cookies": [("Cookie", f"theme=dark; consent={'x' * 6000}")],
    "metadata": [("X-Original-URI", "/x"), ("X-Forwarded-Host", "x.example"), ("X-Forwarded-For", "192.0.2.7")],
    "other names": [("X_Request_Id", "7"), ("X.Other", "7")],
}


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_headers_that_clients_send_by_habit_do_not_lock_them_out(stand, habit):
    cookie, identity = stand.whoami.log_in()
    fields = [client.session(cookie), *habit]
    response, (request,) = stand.recorded(lambda: client.request(stand.proxy, fields))
    assert response.status == 200, response.body
    assert request.values("X-User-Id") == [identity]


def test_two_credentials_of_a_kind_are_refused(stand):
    (one, _), (two, _) = stand.whoami.log_in(), stand.whoami.log_in()
    tokens = [("Authorization", "Bearer ory_st_one"), ("Authorization", "Bearer ory_st_two")]
    for fields, status in (
        ([client.session(one), client.session(two)], 403),
        ([("Cookie", "; ".join(client.session(cookie)[1] for cookie in (one, two)))], 403),
        (tokens, stand.proxy.two_authorizations),
        ([client.session(one), *tokens], stand.proxy.two_authorizations),
    ):
        response, requests = stand.recorded(lambda: client.request(stand.proxy, fields))
        assert (response.status, requests) == (status, []), response.body


@pytest.mark.parametrize("target", ["/", "/claimsmith", "/auth-request/web", "/forward-auth/web"])
def test_client_never_sees_a_token(stand, target):
    cookie, _ = stand.whoami.log_in()
    response, requests = stand.recorded(lambda: client.request(stand.proxy, [client.session(cookie)], target=target))
    assert "eyJ" not in str(response.headers), response.headers
    assert all(request.path == target for request in requests)


def test_token_larger_than_default_buffers_passes(stand):
    cookie, _ = stand.whoami.log_in(identity={"id": "large", "traits": {"note": "x" * 6000}})
    # An upload fills the buffer of a proxy, so that there may be no room left for the token.
    for body in (None, bytes(1 << 20)):
        send = lambda: client.request(stand.proxy, [client.session(cookie)], method="PUT", body=body)
        response, (request,) = stand.recorded(send)
        assert response.status == 200, response.body
        assert len(request.token) > 8000
        assert verified(request.token, stand.claimsmith.jwks)["sub"] == "large"


def test_upload_passes_unchanged(stand):
    cookie, identity = stand.whoami.log_in()
    content = hashlib.shake_256(b"upload").digest(5 << 20)
    whole = {"body": content}
    pieces = {"chunks": [content[at : at + 100_000] for at in range(0, len(content), 100_000)]}
    for fields, body in (([], whole), ([], pieces), ([("Expect", "100-continue")], whole)):
        fields = [client.session(cookie), ("Content-Type", "application/octet-stream"), *fields]
        send = lambda: client.request(stand.proxy, fields, method="PUT", target="/upload", **body)
        response, (request,) = stand.recorded(send)
        assert (response.status, request.length) == (200, len(content)), response.body
        assert request.digest == hashlib.sha256(content).hexdigest()
        assert verified(request.token, stand.claimsmith.jwks)["sub"] == identity


def test_websocket_is_checked_once_and_then_passes(stand):
    cookie, identity = stand.whoami.log_in()
    message = b"\x82\x7e\x40\x00" + bytes(16384)
    fields = [client.session(cookie), ("Authorization", f"Bearer eyJ.{FORGED}."), ("X-User-Id", FORGED)]
    (status, echoed), (request,) = stand.recorded(lambda: client.websocket(stand.proxy, fields, message))
    assert (status, echoed) == (101, message)
    assert verified(request.token, stand.claimsmith.jwks)["sub"] == identity
    assert request.values("X-User-Id") == [identity]
    (status, _), requests = stand.recorded(lambda: client.websocket(stand.proxy, [], message))
    assert status == 401 and requests == []


def test_concurrent_sessions_on_shared_connections_are_never_mixed(stand):
    users = [stand.whoami.log_in() for _ in range(8)]

    def browse(user):
        cookie, identity = user
        with client.connected(stand.proxy) as connection:
            for _ in range(25):
                response = client.exchange(connection, "GET", f"/{identity}", [client.session(cookie)])
                assert response.status == 200, response.body
                token = json.loads(response.body)["token"].removeprefix("Bearer ")
                assert verified(token, stand.claimsmith.jwks)["sub"] == identity

    with concurrent.futures.ThreadPoolExecutor(len(users)) as pool:
        for _ in pool.map(browse, users):
            pass
    for request in stand.upstream.requests:
        if request.path.removeprefix("/") in {identity for _, identity in users}:
            assert request.values("X-User-Id") == [request.path.removeprefix("/")]


def test_renewed_cookie_reaches_the_browser_where_the_proxy_can_relay_it(stand):
    cookie, _ = stand.whoami.log_in()
    stand.whoami.set_cookie = renewed = "ory_kratos_session=renewed; Path=/; HttpOnly; SameSite=Lax"
    response = client.request(stand.proxy, [client.session(cookie)])
    assert response.status == 200, response.body
    assert response.headers.get_all("Set-Cookie", []) == ([renewed] if stand.proxy.relays_cookies else [])
