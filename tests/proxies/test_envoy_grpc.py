"""What Envoy can do only over gRPC, and how it loses no request while claimsmith restarts."""

import contextlib
import json
import os
import time

import certificates
import client
import jwt
import pytest
import service
import upstream
import whoami
from cryptography.hazmat.primitives.asymmetric import ec
from load import Load
from programs import wait_until, write
from proxies import EnvoyGrpc
from service import changed
from tokens import verified

FORGED = [("Authorization", "Bearer forged"), ("X-User-Id", "forged"), ("X-User-Id", "forged")]
FILTER = "                  - name: envoy.filters.http.ext_authz\n"


def test_route_chooses_its_check(tmp_path):
    routes = """
                        - match: { prefix: /public/ }
                          route: { cluster: app }
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              check_settings: { context_extensions: { check: public } }
                        - match: { prefix: / }
                          route: { cluster: app }
"""
    changes = {" [{ match: { prefix: / }, route: { cluster: app } }]\n": routes}
    configuration = {
        "sources:\n": "sources:\n  nobody: { type: anonymous }\n",
        "checks:\n": "checks:\n  public: { sources: [kratos, nobody], profile: id_token, headers: { X-User-Id: sub } }\n",
        # The claims need no session of Kratos.
        "template: session": "template: session\n    missing: omit",
    }
    with changed(EnvoyGrpc, tmp_path, changes, configuration=configuration) as parts:
        proxy, _, recorder, claimsmith = parts
        for target in ("/private", "/public", "/private/public/", "/public/../private", "/public/%2e%2e/private"):
            assert client.request(proxy, FORGED[1:], target=target).status == 401, target
        assert recorder.requests == []
        assert client.request(proxy, FORGED[1:], target="/public/a").status == 200
        (request,) = recorder.requests
        assert verified(request.token, claimsmith.jwks)["sub"] == "anonymous"
        assert request.values("X-User-Id") == ["anonymous"]


def test_claims_that_envoy_verified_are_the_session(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    jwks = json.dumps({"keys": [{**public, "kid": "k", "alg": "ES256", "use": "sig"}]})
    jwt_authn = f"""                  - name: envoy.filters.http.jwt_authn
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
                      providers:
                        idp:
                          issuer: https://idp.example
                          audiences: [app]
                          payload_in_metadata: payload
                          local_jwks: {{ inline_string: '{jwks}' }}
                      rules:
                        - match: {{ prefix: / }}
                          requires: {{ requires_any: {{ requirements: [{{ provider_name: idp }}, {{ allow_missing: {{}} }}] }} }}
{FILTER}"""
    changes = {
        FILTER: jwt_authn,
        "encode_raw_headers: true": "encode_raw_headers: true\n                      "
        "metadata_context_namespaces: [envoy.filters.http.jwt_authn]",
    }
    configuration = {
        "sources:\n": "sources:\n  idp: { type: envoy_metadata, key: payload, issuer: 'https://idp.example' }\n",
        "sources: [kratos]": "sources: [idp]",
        "template: session": "template: session\n    missing: omit",
    }
    claims = {"iss": "https://idp.example", "aud": "app", "sub": "u-1", "exp": int(time.time()) + 30}
    bearer = lambda claims, key=key: ("Authorization", "Bearer " + jwt.encode(claims, key, "ES256", {"kid": "k"}))
    with changed(EnvoyGrpc, tmp_path, changes, configuration=configuration) as (proxy, _, recorder, claimsmith):
        assert client.request(proxy, [bearer(claims), *FORGED[1:]]).status == 200
        (request,) = recorder.requests
        token = verified(request.token, claimsmith.jwks)
        assert (token["sub"], request.values("X-User-Id")) == ("u-1", ["u-1"])
        assert token["exp"] <= claims["exp"]
        recorder.requests.clear()
        other = ec.generate_private_key(ec.SECP256R1())
        for fields in (
            [],
            [bearer(claims, other)],
            [bearer({**claims, "iss": "https://other.example"})],
            [bearer({name: value for name, value in claims.items() if name != "exp"})],
            [("payload", json.dumps(claims)), ("envoy.filters.http.jwt_authn", json.dumps({"payload": claims}))],
        ):
            assert client.request(proxy, fields).status == 401, fields
        assert recorder.requests == []


def test_selected_claims_reach_the_access_log(tmp_path):
    log = tmp_path / "access.log"
    access = f"""stat_prefix: app
                access_log:
                  - name: envoy.access_loggers.file
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: {log}
                      log_format:
                        json_format:
                          user: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:user)%"
                          hidden: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:sub)%"
"""
    environment = {"CLAIMSMITH_CHECKS_WEB_METADATA": "{ user: sub }"}
    with changed(EnvoyGrpc, tmp_path, {"stat_prefix: app\n": access}, environment) as (proxy, kratos, _, _):
        cookie, identity = kratos.log_in()
        assert client.request(proxy, [client.session(cookie)]).status == 200
        line = lambda: log.exists() and [json.loads(line) for line in log.read_text().splitlines() if identity in line]
        (entry,) = wait_until(line, "Envoy writes its access log", 30)
        assert entry == {"user": identity, "hidden": None}


def test_joined_headers_of_a_client_are_never_one_credential(tmp_path):
    changes = {"encode_raw_headers: true": "encode_raw_headers: false"}
    with changed(EnvoyGrpc, tmp_path, changes) as (proxy, kratos, recorder, claimsmith):
        (one, identity), (two, _) = kratos.log_in(), kratos.log_in()
        for fields in (
            [client.session(one), client.session(two)],
            [("Cookie", "a=b"), client.session(one), client.session(two)],
            [("X-Session-Token", "ory_st_one"), ("X-Session-Token", "ory_st_two")],
            [("Authorization", "Bearer ory_st_one"), ("Authorization", "Bearer ory_st_two")],
            [client.session(one), ("X.User.Id", "forged")],
        ):
            assert client.request(proxy, fields).status == 403, fields
        assert recorder.requests == []
        fields = [("Cookie", 'consent={"a":1,"b":2}'), client.session(one), *FORGED]
        # Two values of Authorization are no credential of the cookie's session, so only one is sent here.
        assert client.request(proxy, fields).status == 200
        (request,) = recorder.requests
        assert verified(request.token, claimsmith.jwks)["sub"] == identity
        assert request.values("X-User-Id") == [identity]


@pytest.mark.parametrize("authority", ["ours", "another"])
@pytest.mark.parametrize("is_mutual", [False, True], ids=["tls", "mtls"])
def test_envoy_and_claimsmith_verify_each_other(tmp_path, is_mutual, authority):
    ours = certificates.Authority(tmp_path / "ours", "ours")
    another = certificates.Authority(tmp_path / "another", "another")
    certificate, key = ours.signed("claimsmith.internal")
    environment = {"CLAIMSMITH_SERVE_API_TLS_CERT_FILE": str(certificate), "CLAIMSMITH_SERVE_API_TLS_KEY_FILE": str(key)}
    trusted, presented = ours, ""
    if is_mutual:
        # The client certificate replaces the secret.
        environment["CLAIMSMITH_SERVE_API_TLS_CLIENT_CA_FILE"] = str(ours.file)
        environment["CLAIMSMITH_CALLERS"] = json.dumps([{"name": "envoy", "tls": {"dns": "envoy.internal"}}])
        signer = ours if authority == "ours" else another
        chain, private = signer.signed("envoy.internal")
        presented = f"tls_certificates: [{{ certificate_chain: {{ filename: {chain} }}, private_key: {{ filename: {private} }} }}],"
    elif authority == "another":
        trusted = another
    tls = f"""      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: claimsmith.internal
          common_tls_context:
            {{ {presented} validation_context: {{ trusted_ca: {{ filename: {trusted.file} }},
               match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: claimsmith.internal }} }}] }} }}
"""
    anchor = "      typed_extension_protocol_options:\n"
    with whoami.serving() as kratos, upstream.recording() as recorder:

        class Changed(EnvoyGrpc):
            def replacements(self):
                return {**super().replacements(), anchor: tls + anchor}

        claimsmith, proxy = service.prepared(Changed, kratos.address, recorder.address, tmp_path)
        claimsmith.environment.update(environment)
        cookie, identity = kratos.log_in()
        with claimsmith.serving(), proxy.serving():
            ask = lambda: client.request(proxy, [client.session(cookie), *FORGED[1:]])
            if authority == "ours":
                wait_until(lambda: ask().status == 200, "Envoy reaches claimsmith", 30)
                assert recorder.requests[-1].values("X-User-Id") == [identity]
            else:
                assert [ask().status for _ in range(3)] == [503] * 3 and recorder.requests == []


def test_restarts_of_claimsmith_fail_no_request(tmp_path):
    seconds = int(os.environ.get("PROXIES_LOAD_SECONDS", "10"))
    with whoami.serving() as kratos, upstream.recording() as recorder:
        (tmp_path / "other").mkdir()
        one, proxy = service.prepared(EnvoyGrpc, kratos.address, recorder.address, tmp_path)
        other = service.of_page(EnvoyGrpc.page, kratos.address, tmp_path / "other")
        # Both sign with the same key, and wait for Envoy's health checks before they stop.
        write(other.directory / "keys" / "id_token.jwks.json", (one.directory / "keys" / "id_token.jwks.json").read_text())
        for claimsmith in (one, other):
            claimsmith.environment["CLAIMSMITH_SERVE_SHUTDOWN_DELAY"] = "4s"
        endpoint = lambda claimsmith: (
            "{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %d } } } }" % claimsmith.grpc_port
        )
        documented = "{ endpoint: { address: { socket_address: { address: claimsmith, port_value: 4479 } } } }"

        class Changed(EnvoyGrpc):
            def replacements(self):
                inherited = super().replacements()
                del inherited["address: claimsmith, port_value: 4479 "]
                return {**inherited, documented: f"{endpoint(one)}, {endpoint(other)}"}

        proxy = Changed(proxy.directory, proxy.upstream, proxy.claimsmith, proxy.secret)
        users = [kratos.log_in() for _ in range(4)]

        def browse(user):
            cookie, identity = user
            with client.connected(proxy) as connection:
                for _ in range(20):
                    response = client.exchange(connection, "GET", f"/{identity}", [client.session(cookie)])
                    assert response.status == 200, (response.status, response.body)

        running = {}

        def start(claimsmith):
            running[claimsmith.grpc_port] = stack = contextlib.ExitStack()
            stack.enter_context(claimsmith.serving())
            checked = lambda: claimsmith.metric("claimsmith_http_requests_total", route="/grpc.health.v1.Health/Check")
            return checked

        def restart(claimsmith):
            running.pop(claimsmith.grpc_port).close()
            wait_until(start(claimsmith), "Envoy checks the health")
            # Envoy uses the response after claimsmith counted it.
            time.sleep(1)

        try:
            checked = [start(claimsmith) for claimsmith in (one, other)]
            with proxy.serving():
                for is_checked in checked:
                    wait_until(is_checked, "Envoy checks the health")
                time.sleep(1)
                load = Load(*(lambda user=user: browse(user) for user in users))
                deadline = time.monotonic() + seconds
                with load.running():
                    while True:
                        restart(one)
                        restart(other)
                        if time.monotonic() > deadline:
                            break
                assert sum(load.counts) > 0
        finally:
            for stack in running.values():
                stack.close()
        identities = {f"/{identity}": identity for _, identity in users}
        for request in recorder.requests:
            if request.path in identities:
                assert request.values("X-User-Id") == [identities[request.path]]
