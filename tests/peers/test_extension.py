"""Extension of sessions of a real Kratos, and how soon changes in Kratos reach a cached session."""

import concurrent.futures
import contextlib
import datetime
import time

import kratos as kratos_program
import pytest
import sessions
from kratos import COOKIE, Browser
from programs import free_port, wait_until
from sessions import ORIGIN

# Kratos's default.
LIFESPAN = datetime.timedelta(hours=24)
HOUR = datetime.timedelta(hours=1)


@contextlib.contextmanager
def serving(directory, settings=None, **source):
    """Runs a Kratos with these settings, and a claimsmith whose source has these."""
    (directory / "kratos").mkdir()
    kratos = kratos_program.prepared(directory / "kratos", [ORIGIN], **(settings or {}))
    if "extend" in source:
        source = {"admin": kratos.admin, **source}
    service = sessions.of(kratos, directory, **source)
    with kratos.running(), service.serving():
        yield kratos, service


def expires_in(kratos, user, left):
    """Makes the user's sessions end when this time is over."""
    with kratos.connected() as database:
        end = f"{int(left.total_seconds()):+} seconds"
        changed = database.execute(
            "UPDATE sessions SET expires_at = datetime('now', ?) WHERE identity_id = ?", [end, user.id]
        )
        assert changed.rowcount > 0


def remaining(kratos, headers):
    expiry = datetime.datetime.fromisoformat(kratos.session(headers)["expires_at"])
    return expiry - datetime.datetime.now(datetime.UTC)


# What Kratos allows, how much is left, and whether claimsmith, which tries below 6 h, can extend the session.
CASES = {
    "always": ({}, HOUR, True),
    "early enough": ({"session": {"earliest_possible_extend": "3h"}}, HOUR, True),
    "too early": ({"session": {"earliest_possible_extend": "10m"}}, HOUR, False),
    "without a body": ({"feature_flags": {"faster_session_extend": True}}, HOUR, True),
    "too early without a body": (
        {"session": {"earliest_possible_extend": "10m"}, "feature_flags": {"faster_session_extend": True}},
        HOUR,
        False,
    ),
    "enough left": ({}, 12 * HOUR, False),
}


@pytest.mark.parametrize(("settings", "left", "is_extended"), CASES.values(), ids=CASES)
def test_session_is_extended_when_both_sides_allow_it(settings, left, is_extended, tmp_path):
    with serving(tmp_path, settings, extend={"below": "6h"}) as (kratos, service):
        user, bearer = kratos.register()
        expires_in(kratos, user, left)
        assert service.claims("web", bearer)["sub"] == user.id
        if is_extended:
            extended = lambda: remaining(kratos, bearer) > LIFESPAN - HOUR
            wait_until(extended, "the session is extended", 20)
        else:
            # A second request would wait for nothing that the first one began.
            assert service.claims("web", bearer)["sub"] == user.id
            assert left - HOUR / 2 < remaining(kratos, bearer) <= left
        assert service.claims("web", bearer)["sub"] == user.id


def test_renewed_cookie_of_an_extended_session_is_relayed(tmp_path):
    with serving(tmp_path, extend={"below": "6h"}) as (kratos, service):
        user, browser = kratos.create_user({}), Browser()
        browser.complete(f"{kratos.public}/self-service/login/browser", user.password_form())
        expires_in(kratos, user, HOUR)
        renewed = lambda: service.ask("web", browser.headers()).headers.get_all("Set-Cookie")
        (cookie,) = wait_until(renewed, "claimsmith relays the cookie", 20)
        assert cookie.startswith(f"{COOKIE}=")
        browser.jar.load(cookie)
        response = service.ask("web", browser.headers())
        assert (response.status, response.headers.get_all("Set-Cookie")) == (200, None)


def test_failing_extension_fails_no_request(tmp_path):
    admin = f"http://127.0.0.1:{free_port()}"
    with serving(tmp_path, admin=admin, extend={"below": "6h"}) as (kratos, service):
        user, bearer = kratos.register()
        expires_in(kratos, user, HOUR)
        for _ in range(3):
            assert service.claims("web", bearer)["sub"] == user.id
        assert remaining(kratos, bearer) <= HOUR


def test_concurrent_requests_extend_a_session_together(tmp_path):
    with serving(tmp_path, extend={"below": "6h"}) as (kratos, service):
        user, bearer = kratos.register()
        expires_in(kratos, user, HOUR)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            subjects = list(pool.map(lambda _: service.claims("web", bearer)["sub"], range(64)))
        assert subjects == [user.id] * 64
        wait_until(lambda: remaining(kratos, bearer) > LIFESPAN - HOUR, "the session is extended", 20)


def test_ended_sessions_are_not_revived(tmp_path):
    with serving(tmp_path, extend={"below": "6h"}) as (kratos, service):
        (gone, first), (expired, second) = kratos.register(), kratos.register()
        for user in (gone, expired):
            expires_in(kratos, user, HOUR)
        gone.log_out_everywhere()
        expires_in(kratos, expired, -HOUR)
        for headers in (first, second):
            assert service.ask("web", headers).status == 401
            assert service.ask("web", headers).status == 401


def test_cached_session_hides_a_logout_for_its_ttl_at_most(tmp_path):
    ttl = 4
    with serving(tmp_path, cache={"ttl": f"{ttl}s"}) as (kratos, service):
        user, bearer = kratos.register()
        cached = time.monotonic()
        assert service.ask("web", bearer).status == 200
        user.log_out_everywhere()
        response = service.ask("web", bearer)
        assert response.status == 200 or time.monotonic() - cached > ttl
        time.sleep(max(0, cached + ttl + 1 - time.monotonic()))
        assert service.ask("web", bearer).status == 401


def test_second_factor_counts_at_once_in_spite_of_the_cache(tmp_path):
    with serving(tmp_path, cache={"ttl": "10m"}) as (kratos, service):
        user, bearer = kratos.register()
        assert service.ask("web", bearer).status == 200
        assert service.ask("strong", bearer).status == 401
        user.enroll_totp(bearer)
        assert service.claims("strong", bearer)["aal"] == "aal2"


def test_cached_session_outlives_kratos_only_if_the_operator_allows_it(tmp_path):
    (tmp_path / "kratos").mkdir()
    kratos = kratos_program.prepared(tmp_path / "kratos", [ORIGIN])
    services = []
    for name, cache in (("strict", {"ttl": "1s"}), ("lenient", {"ttl": "1s", "stale_if_error": "10m"})):
        (tmp_path / name).mkdir()
        services.append(sessions.of(kratos, tmp_path / name, cache=cache))
    strict, lenient = services
    with strict.serving(), lenient.serving():
        with kratos.running():
            (user, bearer), (_, unknown) = kratos.register(), kratos.register()
            for service in services:
                assert service.claims("web", bearer)["sub"] == user.id
        time.sleep(2)
        assert strict.ask("web", bearer).status == 503
        assert lenient.claims("web", bearer)["sub"] == user.id
        assert lenient.ask("web", unknown).status == 503
