"""Claims of claimsmith and of Oathkeeper's `id_token` mutator, for the same session of Kratos and the same template.

One Oathkeeper has each rule three times: with its own mutator, with the hydrator and a claimsmith whose configuration is
imported, and with the hydrator and a claimsmith that reads the configuration of Oathkeeper.
"""

import pytest
from claimsmith import as_it_is, basic_authentication, imported
from oathkeeper import Oathkeeper, rule
from tokens import TIMES, lifetime, untimed, verified

# The claims of each rule. `None` means the global ones.
PROFILES = {
    "session": None,
    "registered": "{}",
    "person": """{
        "aud": ["orders", "billing"],
        "name": "{{ print .Extra.identity.traits.name }}",
        "greeting": "Hello {{ print .Extra.identity.traits.name }} <{{ print .Extra.identity.traits.email }}>!",
        {{- with .Extra.identity.metadata_public }}
        "tenant": {{ .tenant | toJson }},
        "roles": [{{ range $i, $role := .roles }}{{ if $i }},{{ end }}{{ toJson $role }}{{ end }}],
        {{- end }}
        "plan": "{{ default "free" .Extra.identity.metadata_public.plan }}",
        "mfa": {{ if eq .Extra.authenticator_assurance_level "aal2" }}true{{ else }}false{{ end }},
        "nothing": "{{ print .Extra.identity.traits.nothing }}",
        "null": {{ .Extra.identity.traits.nothing | toJson }}
    }""",
    "typed": """{
        "age": {{ print .Extra.identity.traits.age }},
        "since": {{ .Extra.identity.traits.since | toJson }},
        "ratio": {{ .Extra.identity.traits.ratio | toJson }},
        "active": {{ print .Extra.active }},
        "traits": {{ .Extra.identity.traits | toJson }}
    }""",
    "request": """{
        "path": "{{ print .MatchContext.URL.Path }}",
        "group": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}",
        "none": "{{ printIndex .MatchContext.RegexpCaptureGroups 7 }}",
        "method": "{{ print .MatchContext.Method }}",
        "agent": "{{ .MatchContext.Header.Get "User-Agent" }}"
    }""",
    "functions": """{
        "upper": "{{ .Extra.identity.traits.name | upper }}",
        "initial": "{{ trunc 1 .Extra.identity.traits.name }}",
        "digest": "{{ sha256sum .Extra.identity.traits.name }}",
        "encoded": "{{ b64enc .Extra.identity.traits.name }}",
        "joined": {{ join " " .Extra.identity.metadata_public.roles | toJson }},
        "keys": {{ keys .Extra.identity.traits | sortAlpha | toJson }},
        "picked": {{ pick .Extra.identity.traits "name" "age" | toJson }},
        "length": {{ len .Extra.identity.traits.name }}
    }""",
}
ROLES = {"roles": ["editor", "billing"], "tenant": "north"}
ORDINARY = {"name": "Zoe O'Neil", "age": 41, "since": 1700000000, "ratio": 0.25}
USERS = {
    "plain": (ORDINARY, ROLES),
    "unicode": (
        {**ORDINARY, "name": "Žofie 李小龍 مريم 👩‍👩‍👧 e\u0301 \u2028\u200f", "größe": {"名": ["ß", "\U0001f600"]}},
        {"roles": ["écrivain", "编辑"], "tenant": "Nord & Süd <GmbH>"},
    ),
    "large": ({**ORDINARY, "notes": [f"{number}: {'wörd, ' * 12}" for number in range(460)], "name": "n" * 2000}, ROLES),
    "numbers": (
        {**ORDINARY, "age": -0.5, "since": 9007199254740991, "ratio": 1e-7, "big": 1e21},
        {"tenant": 7.5, "plan": "x"},
    ),
}
SERVICES = {"imported": imported, "as it is": as_it_is}
# Both entry points of Oathkeeper, with both kinds of credentials for one user.
WAYS = [("proxy", "cookie"), ("decisions", "session token")]
CASES = [(user, *way) for user in USERS for way in WAYS]
CASES += [("plain", "proxy", "session token"), ("plain", "decisions", "cookie")]


def host(profile, service):
    return f"{profile}.{service.replace(' ', '-')}.example.org"


@pytest.fixture(scope="module")
def oathkeeper(kratos, upstream, tmp_path_factory):
    self = Oathkeeper.prepare(tmp_path_factory.mktemp("oathkeeper"), kratos)
    for profile, claims in PROFILES.items():
        mutator = {"handler": "id_token"} if claims is None else {"handler": "id_token", "config": {"claims": claims}}
        self.rules.append(rule(profile, host(profile, "oathkeeper"), upstream.url, mutator))
    self.write_rules()
    return self


@pytest.fixture(scope="module")
def services(oathkeeper, upstream):
    """Runs Oathkeeper and both ways to use claimsmith with it."""
    services = {name: start(oathkeeper) for name, start in SERVICES.items()}
    own_rules = list(oathkeeper.rules)
    for name, service in services.items():
        for own in own_rules:
            api = {"url": service.hydrate_like(own), "auth": basic_authentication()}
            mutator = {"handler": "hydrator", "config": {"api": api}}
            oathkeeper.rules.append(rule(f"{own['id']}, {name}", host(own["id"], name), upstream.url, mutator))
    oathkeeper.enable_hydrator(services["imported"].hydrate("id_token"))
    oathkeeper.write_rules()
    with services["imported"].serving(), services["as it is"].serving(), oathkeeper.serving():
        yield services


def both(oathkeeper, service, name, profile, entry, headers, path="/a/b"):
    """Returns the claims of Oathkeeper's token and of claimsmith's, each verified with the key set of its issuer."""
    own = verified(oathkeeper.token(entry, host(profile, "oathkeeper"), path, headers), oathkeeper.jwks)
    return own, verified(oathkeeper.token(entry, host(profile, name), path, headers), service.jwks)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("user", "entry", "credential"), CASES, ids=[", ".join(case) for case in CASES])
@pytest.mark.parametrize("profile", PROFILES)
def test_claims_equal_those_of_id_token(services, oathkeeper, users, profile, user, entry, credential, service):
    headers = users(credential, *USERS[user])
    own, ours = both(oathkeeper, services[service], service, profile, entry, headers)
    assert untimed(ours) == untimed(own)
    assert lifetime(ours) == lifetime(own) == 900
    assert ours["nbf"] <= ours["iat"] and len(ours["jti"]) > 20


# What Oathkeeper's own token says for a name with this value: the name itself, something else, or nothing because the
# request fails.
SAME, OTHER, FAILS = "same", "other", "fails"
HOSTILE = {
    '","admin":true,"x":"': OTHER,
    'x","aud":["admins"],"roles":["root"],"x":"': OTHER,
    '"},"admin":true,{"x":"': FAILS,
    '"': FAILS,
    "\\": FAILS,
    '\\"': OTHER,
    "\\u0041\\n": OTHER,
    "line\nbreak\ttab\r": FAILS,
    "\u0001\u001f": FAILS,
    "{{ .Subject }}{{ env \"PATH\" }}": FAILS,
    "{{ .Subject }}{{end}}": SAME,
    "{{{Subject}}}{{> session}}": SAME,
    "${jndi:ldap://127.0.0.1/a}$(id)`id`": SAME,
    "</script><!--&amp;": SAME,
    "<no value>": SAME,
    "'; DROP TABLE identities; --": SAME,
    "null": SAME,
}

HEADERS = {
    "compression": {"Accept-Encoding": "gzip, br", "Content-Encoding": "gzip"},
    "conditions": {"If-None-Match": "*", "If-Match": '"a"', "Range": "bytes=0-1"},
    "close": {"Connection": "close"},
    "upgrade": {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
    "trailers": {"TE": "trailers", "Connection": "TE"},
    "content": {"Accept": "text/html", "Content-Type": "text/plain; charset=utf-16"},
    "large": {"X-Large": "x" * 20000, "X-Request-Id": "y" * 2000},
    "many": {f"X-Header-{number}": "z" for number in range(60)},
    "credentials": {"Authorization": "Bearer a.b.c", "X-Session-Token": "d"},
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_trait_stays_inside_its_claim(services, oathkeeper, users, value, service):
    harmless = users("session token", *USERS["plain"])
    hostile = users("session token", {**ORDINARY, "name": value}, ROLES)
    _, expected = both(oathkeeper, services[service], service, "person", "proxy", harmless)
    ours = verified(oathkeeper.token("proxy", host("person", service), "/", hostile), services[service].jwks)
    assert ours["name"] == value
    assert ours["greeting"].startswith(f"Hello {value} <")
    personal = ("sub", "name", "greeting", *TIMES)
    assert {k: v for k, v in ours.items() if k not in personal} == {
        k: v for k, v in expected.items() if k not in personal
    }

    response = oathkeeper.response("proxy", host("person", "oathkeeper"), "/", hostile)
    assert (response.status == 500) == (HOSTILE[value] == FAILS), (response.status, response.body)
    if HOSTILE[value] != FAILS:
        own = verified(oathkeeper.token("proxy", host("person", "oathkeeper"), "/", hostile), oathkeeper.jwks)
        assert (untimed(own) == untimed(ours)) == (HOSTILE[value] == SAME), own


def test_id_token_mutator_signs_injected_claims(services, oathkeeper, users):
    # The reason for the test above: this is what claimsmith protects against.
    headers = users("session token", {**ORDINARY, "name": '","admin":true,"x":"'}, ROLES)
    own = verified(oathkeeper.token("proxy", host("person", "oathkeeper"), "/", headers), oathkeeper.jwks)
    assert own["admin"] is True and own["name"] == ""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_traits_are_equal_in_typed_claims(services, oathkeeper, users, value, service):
    # Names of members are hostile too.
    headers = users("cookie", {**ORDINARY, "name": "Zoe", value: [value, {value: value}]}, None)
    for profile in ("session", "typed"):
        own, ours = both(oathkeeper, services[service], service, profile, "decisions", headers)
        assert untimed(ours) == untimed(own)


@pytest.mark.parametrize("service", SERVICES)
def test_hostile_request_stays_inside_its_claims(services, oathkeeper, users, service):
    headers = {**users("session token", *USERS["plain"]), "User-Agent": 'x","admin":true,"y":"'}
    path = "/%22,%22admin%22:true,%22x%22:%22/%5C"
    ours = verified(oathkeeper.token("proxy", host("request", service), path, headers), services[service].jwks)
    assert "admin" not in ours
    assert ours["agent"] == headers["User-Agent"]
    assert ours["path"] == '/","admin":true,"x":"/\\'


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("entry", ["proxy", "decisions"])
@pytest.mark.parametrize("header", HEADERS)
def test_request_headers_do_not_change_the_claims(services, oathkeeper, users, header, entry, service):
    # Oathkeeper copies the headers and the query of the request to the call of the hydrator.
    headers = {**users("cookie", *USERS["plain"]), **HEADERS[header]}
    path = "/?profile=registered&x=%22&x=1"
    own, ours = both(oathkeeper, services[service], service, "session", entry, headers, path)
    assert untimed(ours) == untimed(own)


def test_ended_session_gets_no_token(services, oathkeeper, kratos):
    user = kratos.create_user(ORDINARY)
    for log_in in (user.log_in_with_api, user.log_in_with_browser):
        headers = log_in()
        for service in SERVICES:
            assert oathkeeper.response("proxy", host("session", service), "/", headers).status == 200
        user.log_out_everywhere()
        for service in SERVICES:
            assert oathkeeper.response("proxy", host("session", service), "/", headers).status == 401
