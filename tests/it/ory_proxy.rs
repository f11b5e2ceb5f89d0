//! The shipped template that makes the tokens of `ory proxy`.

use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::fake_kratos::{FakeKratos, identity, session};
use crate::support::{NOW, Setup, send, spawn_app};

#[test]
fn shipped_template_makes_the_token_of_ory_proxy() {
    let kratos = FakeKratos::start();
    let whoami = identity("i-1");
    kratos.will_send(session(&whoami));
    let config = format!(
        "templates: {}/templates\ncallers: [{{ name: proxy, networks: 127.0.0.1 }}]\nsources: {{ {} }}\n\
         checks: {{ app: {{ sources: kratos, profile: p }} }}",
        env!("CARGO_MANIFEST_DIR"),
        kratos.source("")
    );
    let profile = "    template: ory_proxy\n    ttl: 60s\n    cache: off";
    let app = spawn_app(&Setup { config: &config, profile, ..Setup::default() });
    let ask = || {
        let request = "GET /auth-request/app HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-Method: GET\r\n\
                       X-Original-URL: https://app.example/\r\nCookie: ory_kratos_session=c\r\n\r\n";
        let answer = send(app.api, request.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        app.verify(answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap())
    };
    let token = ask();
    let mut claims: Value = serde_json::from_str(token.claims()).unwrap();
    assert_eq!((token.alg(), token.typ()), (SignatureAlg::Es256, Some("JWT")));
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    let expected = json!({ "iss": "https://issuer.example/", "sub": "i-1", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        "session": whoami });
    assert_eq!(claims, expected, "and no audience");
    let next: Value = serde_json::from_str(ask().claims()).unwrap();
    assert_ne!(next["jti"], jti, "each request has its own token");
}
