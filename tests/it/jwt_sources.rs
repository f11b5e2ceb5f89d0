//! JWTs of other issuers: the rules of RFC 7519 and RFC 8725, and the keys of the issuer.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::fake_issuer::{FakeIssuer, IssuerKey};
use crate::fake_kratos::response;
use crate::support::{Answer, Folder, NOW, Service, Setup, TestApp, claimsmith, send, spawn_app, stdout, wait_until};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const JSON: &str = "Content-Type: application/json\r\n";

/// Starts the service with the source `partner` and the check `api`.
fn app(source: &str, check: &str, jwks: &str) -> TestApp {
    let config = format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nlimits: {{ body: 64KiB }}\nreload: {{ interval: 100ms }}\n\
         sources: {{ partner: {{ type: jwt, audience: [orders, billing], algorithms: [ES256, EdDSA], {source} }} }}\n\
         checks: {{ api: {{ sources: partner, profile: p, {check} }} }}"
    );
    let files = &[("partner.jwks.json", jwks)];
    spawn_app(&Setup { config: &config, template: r#"{"session": {{Extra}}}"#, files, ..Setup::default() })
}

/// Starts the service with keys from a file.
fn app_with_file(jwks: &str) -> TestApp {
    app("issuer: 'https://idp.example', jwks: partner.jwks.json", "", jwks)
}

fn ask(app: &TestApp, token: &str) -> Answer {
    let request = format!(
        "GET /auth-request/api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-Method: GET\r\n\
         X-Original-URL: https://app.example/\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    send(app.api, request.as_bytes())
}

/// Returns the claims of an allowed request, or the code of a refused one.
fn result(app: &TestApp, token: &str) -> Result<Value, String> {
    let answer = ask(app, token);
    if answer.status == 200 {
        let token = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        return Ok(serde_json::from_str(app.verify(&token).claims()).unwrap());
    }
    answer.assert_is_problem();
    Err(answer.json()["type"].as_str().unwrap().to_owned())
}

fn refused() -> Result<Value, String> {
    Err("session.required".to_owned())
}

fn claims_of(issuer: &str) -> String {
    json!({"iss": issuer, "sub": "p-1", "aud": "orders", "exp": NOW + 60}).to_string()
}

fn claims() -> String {
    claims_of("https://idp.example")
}

#[test]
fn claims_are_the_session_and_the_token_ends_with_them() {
    let key = IssuerKey::new("k1");
    let app = app_with_file(&key.set());
    let claims = json!({"iss": "https://idp.example", "sub": "p-1", "aud": ["x", "billing"], "exp": NOW + 60,
        "nbf": NOW, "iat": NOW, "groups": ["a"], "id": 9_007_199_254_740_993_i64});
    let token = key.sign(&claims.to_string());
    let found = result(&app, &token).unwrap();
    assert_eq!((&found["sub"], &found["exp"], &found["session"]), (&json!("p-1"), &json!(NOW + 60), &claims));
    app.clock.set(NOW + 60);
    assert_eq!(result(&app, &token), refused(), "the cached token is not used after the end");
}

#[test]
fn forged_tokens_are_refused() {
    let (key, other) = (IssuerKey::new("k1"), IssuerKey::new("k1"));
    let app = app_with_file(&key.set());
    assert!(result(&app, &key.sign(&claims())).is_ok());
    let header = |more: &str| format!(r#"{{"alg":"ES256","kid":"k1"{more}}}"#);
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let none = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(&claims()));
    let none_with_signature = key.sign_with(r#"{"alg":"none","kid":"k1"}"#, &claims());
    let hmac = |secret: &[u8]| {
        let signed = format!("{}.{}", encoded(r#"{"alg":"HS256","kid":"k1"}"#), encoded(&claims()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let jwk = other.jwk();
    let good = key.sign(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let altered = claims().replace("p-1", "root");
    for (name, token) in [
        ("alg none", none),
        ("alg none with a signature", none_with_signature),
        ("HS256 with the public set", hmac(key.set().as_bytes())),
        ("HS256 with the public point", hmac(jwk["x"].as_str().unwrap().as_bytes())),
        ("alg in lower case", key.sign_with(r#"{"alg":"es256","kid":"k1"}"#, &claims())),
        ("algorithm that is not configured", key.sign_with(r#"{"alg":"ES384","kid":"k1"}"#, &claims())),
        ("other algorithm of the configuration", key.sign_with(r#"{"alg":"EdDSA","kid":"k1"}"#, &claims())),
        ("no algorithm", key.sign_with(r#"{"kid":"k1"}"#, &claims())),
        ("two algorithms", key.sign_with(r#"{"alg":"none","alg":"ES256","kid":"k1"}"#, &claims())),
        ("unknown kid", key.sign_with(r#"{"alg":"ES256","kid":"k2"}"#, &claims())),
        ("path as kid", key.sign_with(r#"{"alg":"ES256","kid":"../../dev/null"}"#, &claims())),
        ("kid of another type", key.sign_with(r#"{"alg":"ES256","kid":["k1"]}"#, &claims())),
        ("other key", other.sign(&claims())),
        ("embedded jwk", other.sign_with(&header(&format!(r#","jwk":{jwk}"#)), &claims())),
        ("jku", other.sign_with(&header(r#","jku":"http://127.0.0.1:1/jwks""#), &claims())),
        ("x5u", other.sign_with(&header(r#","x5u":"http://127.0.0.1:1/x""#), &claims())),
        ("x5c", other.sign_with(&header(r#","x5c":["AAAA"]"#), &claims())),
        ("crit", key.sign_with(&header(r#","crit":["exp"],"exp":1"#), &claims())),
        ("unencoded payload", key.sign_with(&header(r#","b64":false,"crit":["b64"]"#), &claims())),
        ("logout token", key.sign_with(&header(r#","typ":"logout+jwt""#), &claims())),
        ("altered claims", format!("{}.{}.{signature}", signed.split('.').next().unwrap(), encoded(&altered))),
        ("no signature", format!("{signed}.")),
        ("padded signature", format!("{good}==")),
        ("fourth part", format!("{good}.AAAA")),
        ("two subjects", key.sign(&claims().replacen('{', r#"{"sub":"root","#, 1))),
        ("huge", key.sign(&claims().replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(20_000)), 1))),
        ("deep", key.sign(&claims().replacen('{', &format!(r#"{{"x":{}1{},"#, "[".repeat(2000), "]".repeat(2000)), 1))),
    ] {
        assert_eq!(result(&app, &token), refused(), "{name}");
    }
    let without_kid = key.sign_with(r#"{"alg":"ES256"}"#, &claims());
    assert!(result(&app, &without_kid).is_ok(), "a set with one key needs no kid");
}

#[test]
fn claims_for_others_or_other_times_are_refused() {
    let key = IssuerKey::new("k1");
    let app = app_with_file(&key.set());
    let with = |name: &str, value: Value| {
        let mut all: Value = serde_json::from_str(&claims()).unwrap();
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value,
        }
        key.sign(&all.to_string())
    };
    for (name, value, is_allowed) in [
        ("iss", json!("https://idp.example/"), false),
        ("iss", json!("https://idp.example.evil"), false),
        ("iss", Value::Null, false),
        ("aud", json!(["other", "orders"]), true),
        ("aud", json!(["other"]), false),
        ("aud", json!({"orders": 1}), false),
        ("aud", Value::Null, false),
        ("exp", json!(NOW + 1), true),
        ("exp", json!(NOW), false),
        ("exp", json!(NOW - 3600), false),
        ("exp", json!((NOW + 60).to_string()), false),
        ("exp", Value::Null, false),
        ("nbf", json!(NOW + 30), true),
        ("nbf", json!(NOW + 31), false),
        ("iat", json!(NOW + 31), false),
        ("sub", json!(""), false),
        ("sub", Value::Null, false),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}), false),
        ("cnf", json!({"jkt": "x"}), false),
        ("active", json!(false), false),
    ] {
        assert_eq!(result(&app, &with(name, value.clone())).is_ok(), is_allowed, "{name}: {value}");
    }
}

#[test]
fn configured_type_is_required() {
    let key = IssuerKey::new("k1");
    let app = app("issuer: 'https://idp.example', jwks: partner.jwks.json, typ: at+jwt", "", &key.set());
    let typed = |typ: &str| key.sign_with(&format!(r#"{{"alg":"ES256","kid":"k1"{typ}}}"#), &claims());
    assert!(result(&app, &typed(r#","typ":"at+jwt""#)).is_ok());
    assert!(result(&app, &typed(r#","typ":"application/at+JWT""#)).is_ok());
    for wrong in ["", r#","typ":"JWT""#, r#","typ":"logout+jwt""#, r#","typ":["at+jwt"]"#] {
        assert_eq!(result(&app, &typed(wrong)), refused(), "{wrong}");
    }
}

#[test]
fn keys_that_everyone_could_sign_with_verify_nothing() {
    let key = IssuerKey::new("k1");
    let altered = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        json!({ "keys": [jwk] }).to_string()
    };
    let server = FakeIssuer::start();
    let issuer = server.url("");
    server.will_send_json(DISCOVERY, &json!({"issuer": issuer, "jwks_uri": server.url(JWKS)}).to_string());
    for (name, set) in [
        ("private key", altered("d", json!("AAAA"))),
        ("encryption key", altered("use", json!("enc"))),
        ("key for other operations", altered("key_ops", json!(["encrypt"]))),
        ("other algorithm", altered("alg", json!("ES384"))),
        (
            "symmetric key",
            json!({"keys": [{"kty": "oct", "kid": "k1", "alg": "HS256", "k": "A".repeat(43)}]}).to_string(),
        ),
        ("no key", r#"{"keys":[]}"#.to_owned()),
    ] {
        server.will_send_json(JWKS, &set);
        let app = app(&format!("issuer: '{issuer}'"), "", "{}");
        let found = result(&app, &key.sign(&claims_of(&issuer)));
        assert_eq!(found, Err("source.unavailable".to_owned()), "{name}: it is not known whether the token is valid");
    }
}

#[test]
fn discovery_finds_the_keys_and_a_new_key_is_fetched_once() {
    let (server, key, next) = (FakeIssuer::start(), IssuerKey::new("k1"), IssuerKey::new("k2"));
    let issuer = server.url("");
    server.will_send_json(DISCOVERY, &json!({"issuer": issuer, "jwks_uri": server.url(JWKS)}).to_string());
    server.will_send_json(JWKS, &key.set());
    let app = app(&format!("issuer: '{issuer}'"), "", "{}");
    let fetches = || (server.requests(DISCOVERY).len(), server.requests(JWKS).len());
    assert_eq!(fetches(), (0, 0), "nothing is fetched before it is needed");
    for _ in 0..3 {
        assert!(result(&app, &key.sign(&claims_of(&issuer))).is_ok());
    }
    assert_eq!(fetches(), (1, 1));
    server.will_send_json(JWKS, &json!({"keys": [key.jwk(), next.jwk()]}).to_string());
    assert!(result(&app, &next.sign(&claims_of(&issuer))).is_ok(), "the key of a rotation");
    assert_eq!(fetches(), (2, 2));
    for kid in ["a", "b", "c"] {
        assert_eq!(result(&app, &IssuerKey::new(kid).sign(&claims_of(&issuer))), refused(), "{kid}");
    }
    assert_eq!(fetches(), (2, 2), "unknown keys cause no further fetch for a while");
    let metrics = app.get_admin("/metrics").text();
    assert!(
        metrics.contains("claimsmith_session_source_calls_total{source=\"partner\",result=\"keys\"} 2\n"),
        "{metrics}"
    );
}

#[test]
fn document_of_another_issuer_leads_to_no_keys() {
    let (server, key) = (FakeIssuer::start(), IssuerKey::new("k1"));
    let issuer = server.url("");
    server.will_send_json(JWKS, &key.set());
    for (name, document) in [
        ("other issuer", json!({"issuer": "https://idp.example", "jwks_uri": server.url(JWKS)})),
        ("slash", json!({"issuer": format!("{issuer}/"), "jwks_uri": server.url(JWKS)})),
        ("file", json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"})),
        ("no keys", json!({"issuer": issuer})),
    ] {
        server.will_send_json(DISCOVERY, &document.to_string());
        let app = app(&format!("issuer: '{issuer}'"), "", "{}");
        assert_eq!(result(&app, &key.sign(&claims_of(&issuer))), Err("source.unavailable".to_owned()), "{name}");
    }
    assert_eq!(server.requests(JWKS).len(), 0);
}

#[test]
fn failing_and_slow_keys_are_not_a_missing_session_and_the_last_good_set_stays() {
    let (server, key) = (FakeIssuer::start(), IssuerKey::new("k1"));
    let source = format!("issuer: 'https://idp.example', timeout: 300ms, jwks: '{}'", server.url(JWKS));
    let unavailable = || Err("source.unavailable".to_owned());
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"keys\":[".to_vec();
    for (name, bytes) in [
        ("500", response("500 Internal Server Error", JSON, "")),
        ("redirect", response("302 Found", "Location: http://127.0.0.1:1/\r\n", "")),
        ("no set", response("200 OK", JSON, "[]")),
        ("two members", response("200 OK", JSON, r#"{"keys":[],"keys":[]}"#)),
        ("huge", response("200 OK", JSON, &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(70_000)))),
        ("truncated", truncated),
    ] {
        server.will_send(JWKS, bytes);
        let app = app(&source, "", "{}");
        assert_eq!(result(&app, &key.sign(&claims())), unavailable(), "{name}");
    }
    server.will_send_json(JWKS, &key.set());
    let app = app(&source, "", "{}");
    assert!(result(&app, &key.sign(&claims())).is_ok());
    server.will_hold(JWKS, response("200 OK", JSON, &key.set()));
    let start = Instant::now();
    assert_eq!(result(&app, &IssuerKey::new("k2").sign(&claims())), unavailable(), "there could be a new key");
    assert!(start.elapsed() >= Duration::from_millis(300), "bounded by the timeout");
    assert!(result(&app, &key.sign(&claims())).is_ok(), "known keys do not wait");
    server.will_send(JWKS, response("503 Service Unavailable", JSON, ""));
    server.release();
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_requests_in_flight 0\n"));
    assert!(result(&app, &key.sign(&claims())).is_ok());
}

#[test]
fn last_good_set_is_used_after_a_fetch_that_failed() {
    let (server, key) = (FakeIssuer::start(), IssuerKey::new("k1"));
    server.will_send_json(JWKS, &key.set());
    let app = app(&format!("issuer: 'https://idp.example', jwks: '{}'", server.url(JWKS)), "", "{}");
    assert!(result(&app, &key.sign(&claims())).is_ok());
    for (number, bytes) in
        [response("503 Service Unavailable", JSON, ""), response("200 OK", JSON, "[]")].into_iter().enumerate()
    {
        server.will_send(JWKS, bytes);
        let unknown = IssuerKey::new("k2").sign(&claims());
        assert_eq!(result(&app, &unknown), Err("source.unavailable".to_owned()), "there could be a new key");
        assert_eq!(server.requests(JWKS).len(), 2, "{number}: this was the only fetch for a while");
        assert!(result(&app, &key.sign(&claims())).is_ok(), "{number}");
    }
}

#[test]
fn key_with_the_kid_of_an_old_one_is_found() {
    for has_kid in [true, false] {
        let (server, old, next) = (FakeIssuer::start(), IssuerKey::new("k1"), IssuerKey::new("k1"));
        server.will_send_json(JWKS, &old.set());
        let app = app(&format!("issuer: 'https://idp.example', jwks: '{}'", server.url(JWKS)), "", "{}");
        let header = if has_kid { r#"{"alg":"ES256","kid":"k1"}"# } else { r#"{"alg":"ES256"}"# };
        assert!(result(&app, &old.sign_with(header, &claims())).is_ok());
        server.will_send_json(JWKS, &next.set());
        assert!(result(&app, &next.sign_with(header, &claims())).is_ok(), "has a kid: {has_kid}");
        assert_eq!(result(&app, &old.sign_with(header, &claims())), refused(), "the key was removed");
        assert_eq!(server.requests(JWKS).len(), 2, "forged signatures cause no further fetch for a while");
    }
}

#[test]
fn reload_keeps_the_keys_of_an_issuer() {
    let (server, key) = (FakeIssuer::start(), IssuerKey::new("k1"));
    server.will_send_json(JWKS, &key.set());
    let source = format!("issuer: 'https://idp.example', leeway: 30s, jwks: '{}'", server.url(JWKS));
    let app = app(&source, "", "{}");
    assert!(result(&app, &key.sign(&claims())).is_ok());
    server.will_send(JWKS, response("503 Service Unavailable", JSON, ""));
    let reload = |change: &dyn Fn(String) -> String, generation: u32| {
        let text = std::fs::read_to_string(app.folder.path().join("claimsmith.yaml")).unwrap();
        app.folder.write("claimsmith.yaml", &change(text));
        wait_until(|| app.get_admin("/metrics").text().contains(&format!("claimsmith_generation {generation}\n")));
    };
    reload(&|text| text.replace("leeway: 30s", "leeway: 20s"), 2);
    assert!(result(&app, &key.sign(&claims())).is_ok(), "while the issuer fails");
    reload(&|text| text.replace("ES256, EdDSA", "EdDSA"), 3);
    assert_eq!(result(&app, &key.sign(&claims())), Err("source.unavailable".to_owned()), "keys for other algorithms");
}

#[test]
fn token_of_our_own_is_no_session_unless_a_source_names_our_issuer() {
    let key = IssuerKey::new("k1");
    let other = app_with_file(&key.set());
    let own_token =
        ask(&other, &key.sign(&claims())).header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(result(&other, &own_token), refused());
    let set = other.get("/.well-known/jwks.json").text();
    let named = app("issuer: 'https://issuer.example/', jwks: partner.jwks.json", "", &set);
    assert_eq!(result(&named, &own_token), refused(), "it has no audience");

    let config = "callers: [{ name: proxy, networks: 127.0.0.1 }]\n\
        sources: { own: { type: jwt, issuer: 'https://issuer.example/', audience: orders, algorithms: ES256, jwks: own.json } }\n\
        checks: { api: { sources: own, profile: p } }";
    let files = &[("own.json", set.as_str())];
    let (profile, template) = ("    audience: [orders]", r#"{"session": {{Extra}}}"#);
    let with_audience = spawn_app(&Setup { config, profile, files, template, ..Setup::default() });
    assert_eq!(result(&with_audience, &own_token), refused(), "it has no audience");
    let claims = json!({"iss": "https://issuer.example/", "sub": "u", "aud": "orders", "exp": NOW + 60});
    let forged = key.sign(&claims.to_string());
    assert_eq!(result(&with_audience, &forged), refused(), "another key signed it");
}

#[test]
fn source_with_our_issuer_accepts_our_tokens_for_its_audience_and_is_noted() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    let set = claimsmith(folder.path(), &["keys", "public", "keys.json"]);
    folder.write("own.json", &stdout(&set));
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        "serve: { api: { port: 0 }, admin: { port: 0 } }\n\
         profiles: { p: { issuer: 'https://own.example/', jwks: keys.json, audience: [orders] } }\n\
         callers: [{ name: proxy, networks: 127.0.0.1 }]\n\
         sources:\n  guest: { type: anonymous, subject: guest }\n  \
         own: { type: jwt, issuer: 'https://own.example/', audience: orders, algorithms: ES256, jwks: own.json }\n  \
         other: { type: jwt, issuer: 'https://own.example', audience: orders, algorithms: ES256, jwks: own.json }\n\
         checks:\n  open: { sources: guest, profile: p }\n  own: { sources: own, profile: p }\n  \
         other: { sources: other, profile: p }\n",
    );
    let service = Service::start(folder);
    let ask = |check: &str, headers: &str| {
        let request = format!(
            "GET /auth-request/{check} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-URI: /\r\n{headers}\r\n"
        );
        send(service.api, request.as_bytes())
    };
    let token = ask("open", "").header("authorization").unwrap().to_owned();
    let bearer = format!("Authorization: {token}\r\n");
    assert_eq!((ask("own", &bearer).status, ask("other", &bearer).status), (200, 401));
    assert!(service.has_logged("sources.own: its issuer is the one of the profile p"));
    assert!(!service.has_logged("sources.other: its issuer"));
}

#[test]
fn response_that_is_too_large_for_some_proxies_is_logged_once() {
    let key = IssuerKey::new("k1");
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("partner.json", &key.set());
    folder.write("templates/p/claims.hbs", r#"{"session": {{Extra}}}"#);
    folder.write(
        "claimsmith.yaml",
        "serve: { api: { port: 0 }, admin: { port: 0 } }\nprofiles: { p: { issuer: i, jwks: keys.json } }\n\
         callers: [{ name: proxy, networks: 127.0.0.1 }]\n\
         sources: { partner: { type: jwt, issuer: 'https://idp.example', audience: orders, algorithms: ES256, jwks: partner.json } }\n\
         checks: { api: { sources: partner, profile: p } }\n",
    );
    let service = Service::start(folder);
    let ask = |length: usize| {
        let claims = json!({"iss": "https://idp.example", "sub": "p", "aud": "orders", "exp": 4_000_000_000_i64,
            "x": "x".repeat(length)});
        let request = format!(
            "GET /auth-request/api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-URI: /\r\n\
             Authorization: Bearer {}\r\n\r\n",
            key.sign(&claims.to_string())
        );
        assert_eq!(send(service.api, request.as_bytes()).status, 200);
    };
    let warning = "response head larger than the default buffers of proxies";
    ask(100);
    assert!(!service.has_logged(warning));
    ask(4000);
    wait_until(|| service.has_logged(warning));
    ask(4001);
    ask(100);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(service.log.lock().unwrap().matches(warning).count(), 1);
}

#[test]
fn assurance_of_claims_serves_requirements() {
    let key = IssuerKey::new("k1");
    let source = "issuer: 'https://idp.example', jwks: partner.jwks.json, \
                  assurance: { authenticated_at: auth_time, level: amr, aal2: [otp] }";
    let app = app(source, "require: { aal: aal2, max_auth_age: 15m }", &key.set());
    for (amr, auth_time, expected) in [
        (json!(["pwd", "otp"]), NOW - 900, None),
        (json!(["pwd", "otp"]), NOW - 901, Some("session.age")),
        (json!(["pwd"]), NOW, Some("session.level")),
        (json!("otp "), NOW, Some("session.level")),
    ] {
        let mut all: Value = serde_json::from_str(&claims()).unwrap();
        (all["amr"], all["auth_time"]) = (amr.clone(), json!(auth_time));
        let token = key.sign(&all.to_string());
        assert_eq!(result(&app, &token).err().as_deref(), expected, "{amr} {auth_time}");
    }
}
