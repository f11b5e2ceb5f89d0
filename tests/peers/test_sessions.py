"""Sessions of a real Kratos: what claimsmith makes of them, and when a change in Kratos takes effect."""

import time

import kratos as kratos_program
import pytest
import sessions
from kratos import COOKIE, Browser
from programs import wait_until
from sessions import ORIGIN, TARGET


@pytest.fixture(scope="module")
def kratos(tmp_path_factory):
    with kratos_program.serving(tmp_path_factory.mktemp("kratos"), [ORIGIN]) as kratos:
        yield kratos


@pytest.fixture(scope="module")
def service(kratos, tmp_path_factory):
    service = sessions.of(kratos, tmp_path_factory.mktemp("claimsmith"))
    with service.serving():
        yield service


@pytest.fixture
def unstable(tmp_path):
    """Returns a Kratos and a claimsmith that a test can stop. Only claimsmith runs."""
    (tmp_path / "kratos").mkdir()
    kratos = kratos_program.prepared(tmp_path / "kratos", [ORIGIN])
    service = sessions.of(kratos, tmp_path)
    with service.serving():
        yield kratos, service


def authenticated_long_ago(kratos, user):
    """Moves the authentication of the user's sessions an hour back."""
    with kratos.connected() as database:
        changed = database.execute(
            "UPDATE sessions SET authenticated_at = datetime(authenticated_at, '-1 hour') WHERE identity_id = ?", [user.id]
        )
        assert changed.rowcount > 0


def test_registered_user_gets_a_token_with_each_kind_of_credential(kratos, service):
    user, bearer = kratos.register()
    token = bearer["Authorization"].removeprefix("Bearer ")
    for credentials in (bearer, {"X-Session-Token": token}, user.log_in_with_browser()):
        claims = service.claims("web", credentials)
        assert (claims["sub"], claims["email"], claims["aal"]) == (user.id, user.email, "aal1")
        assert abs(claims["auth_time"] - time.time()) < 300
    response = service.ask("web", bearer)
    assert (response.headers["X-User-Id"], response.body) == (user.id, b"")


def test_credentials_that_kratos_does_not_know_are_no_session(kratos, service):
    _, bearer = kratos.register()
    for credentials in ({}, {"Cookie": f"{COOKIE}=forged"}, {"Authorization": bearer["Authorization"] + "x"}):
        status, problem = service.error("web", credentials)
        assert (status, problem["type"]) == (401, "session.required")


def test_second_factor_is_required_once_a_user_has_one(kratos, service):
    user, first = kratos.register()
    status, problem = service.error("strong", first)
    assert (status, problem["type"]) == (401, "session.level")

    user.enroll_totp(first)
    assert service.claims("strong", first)["aal"] == "aal2"

    # Kratos itself refuses another session of this user until its second factor is complete.
    second = user.log_in_with_api()
    for check in ("web", "strong"):
        response = service.ask(check, second)
        assert response.status == 401, response.body
        challenge = response.headers["WWW-Authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge and 'acr_values="aal2"' in challenge
        status, problem = service.error(check, second)
        assert problem["redirect_browser_to"].startswith(f"{kratos.public}/self-service/login/browser?aal=aal2")
    user.step_up(second)
    assert service.claims("web", second)["aal"] == "aal2"


def test_browser_completes_the_second_factor_where_claimsmith_sends_it(kratos, service):
    user, first = kratos.register()
    user.enroll_totp(first)
    browser = Browser()
    login = service.redirect("strong", {})
    # Kratos goes on to the second factor itself, and keeps the URL to return to.
    assert "aal" not in login
    browser.complete(login, user.password_form())
    step_up = service.redirect("strong", browser.headers())
    assert browser.complete(step_up, user.totp_form()) == f"{ORIGIN}{TARGET}"
    assert service.claims("strong", browser.headers())["aal"] == "aal2"


def test_old_authentication_is_refreshed_by_another_login(kratos, service):
    user, bearer = kratos.register()
    assert service.ask("fresh", bearer).status == 200
    authenticated_long_ago(kratos, user)
    old = service.claims("web", bearer)["auth_time"]

    response = service.ask("fresh", bearer)
    assert response.status == 401, response.body
    assert 'max_age="900"' in response.headers["WWW-Authenticate"], response.headers["WWW-Authenticate"]
    assert service.error("fresh", bearer)[1]["type"] == "session.age"

    user.log_in_again(bearer)
    assert service.claims("fresh", bearer)["auth_time"] > old + 3000


def test_browser_refreshes_its_login_where_claimsmith_sends_it(kratos, service):
    user, browser = kratos.create_user({}), Browser()
    browser.complete(service.redirect("fresh", {}), user.password_form())
    session = service.claims("fresh", browser.headers())
    authenticated_long_ago(kratos, user)
    login = service.redirect("fresh", browser.headers())
    assert "refresh=true" in login
    assert browser.complete(login, user.password_form()) == f"{ORIGIN}{TARGET}"
    assert service.claims("fresh", browser.headers())["sub"] == session["sub"]


def test_logout_and_disabled_identity_take_effect_with_the_next_request(kratos, service):
    user, browser = kratos.create_user({}), Browser()
    browser.complete(f"{kratos.public}/self-service/login/browser", user.password_form())
    tokens = [user.log_in_with_api() for _ in range(2)]
    for credentials in (browser.headers(), *tokens):
        assert service.ask("web", credentials).status == 200

    cookie = browser.headers()
    browser.log_out(kratos)
    assert service.ask("web", cookie).status == 401
    assert service.ask("web", tokens[0]).status == 200

    user.disable()
    for credentials in tokens:
        assert service.ask("web", credentials).status == 401


def test_kratos_that_stops_is_a_failure_and_recovers(unstable):
    kratos, service = unstable
    with kratos.running():
        _, bearer = kratos.register()
        assert service.ask("web", bearer).status == 200
    for accept in ("application/json", "text/html"):
        response = service.ask("web", bearer, Accept=accept)
        assert response.status == 503, response.body
        assert "Authorization" not in response.headers
    with kratos.running():
        wait_until(lambda: service.ask("web", bearer).status == 200, "claimsmith recovers", 30)


def test_database_that_does_not_respond_is_a_failure(unstable):
    kratos, service = unstable
    with kratos.running():
        _, bearer = kratos.register()
        with kratos.connected() as database:
            database.execute("BEGIN EXCLUSIVE")
            start = time.monotonic()
            status, problem = service.error("web", bearer)
            assert (status, problem["type"]) == (503, "source.unavailable")
            # The source's timeout is 2 s, and Kratos would wait for 10 s.
            assert time.monotonic() - start < 8
            database.execute("ROLLBACK")
        wait_until(lambda: service.ask("web", bearer).status == 200, "claimsmith recovers", 30)


def test_session_survives_a_database_that_was_gone(unstable):
    """Kratos says 401 for its own failures, so claimsmith cannot tell them from a missing session. Nothing remembers the 401."""
    kratos, service = unstable
    with kratos.running():
        _, bearer = kratos.register()
        assert service.ask("web", bearer).status == 200
        with kratos.connected() as database:
            database.execute("PRAGMA legacy_alter_table = ON")
            database.execute("ALTER TABLE sessions RENAME TO sessions_gone")
            response = service.ask("web", bearer)
            assert response.status in (401, 503), response.body
            assert "Authorization" not in response.headers
            database.execute("ALTER TABLE sessions_gone RENAME TO sessions")
        wait_until(lambda: service.ask("web", bearer).status == 200, "claimsmith recovers", 10)
