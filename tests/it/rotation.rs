//! The lifecycle of a key over real HTTP: published before it signs, and until its last token expires.

use claimsmith::keys::{self, KeyId, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{NOW, Setup, TestApp, spawn_app};

const SESSION: &str = r#"{"subject":"u"}"#;

/// Returns a new ES256 key with this `kid` and `more` members.
fn key(kid: &str, more: Value) -> Value {
    let generated = keys::generate(SignatureAlg::Es256, None, &KeyId::parse(kid).unwrap()).unwrap();
    let set: Value = serde_json::from_str(generated.to_set()).unwrap();
    let mut key = set["keys"][0].clone();
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

fn public(key: &Value) -> Value {
    let mut public = key.clone();
    let members = public.as_object_mut().unwrap();
    for name in ["d", "nbf", "exp"] {
        members.remove(name);
    }
    public
}

/// Starts the service with a JWK Set of `keys`. Its tokens live ten minutes.
fn app(keys: &[Value]) -> TestApp {
    let set = json!({ "keys": keys }).to_string();
    spawn_app(&Setup {
        template: "{}",
        profile: "    ttl: 10m",
        files: &[("keys.json", set.as_str())],
        ..Setup::default()
    })
}

/// Returns each published `kid`, sorted because the order of a JWK Set has no meaning.
fn published(app: &TestApp) -> Vec<String> {
    let set = app.get("/p/.well-known/jwks.json").json();
    assert_eq!(app.get("/.well-known/jwks.json").json(), set);
    let mut kids: Vec<_> =
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    kids.sort();
    kids
}

#[test]
fn new_key_is_published_before_it_signs() {
    let app = app(&[key("old", json!({})), key("new", json!({ "nbf": NOW + 60 }))]);
    app.clock.set(NOW + 59);
    assert_eq!(app.token(SESSION).kid().as_str(), "old");
    assert_eq!(published(&app), ["new", "old"]);
    app.clock.set(NOW + 60);
    assert_eq!(app.token(SESSION).kid().as_str(), "new");
    assert_eq!(published(&app), ["new", "old"]);
}

#[test]
fn expired_key_is_published_until_its_last_token_expires() {
    let app = app(&[key("old", json!({ "exp": NOW + 60 })), key("new", json!({ "nbf": NOW + 30 }))]);
    app.clock.set(NOW + 29);
    let last = app.token(SESSION);
    let claims: Value = serde_json::from_str(last.claims()).unwrap();
    assert_eq!((last.kid().as_str(), &claims["exp"]), ("old", &json!(NOW + 29 + 600)));
    app.clock.set(NOW + 60 + 599);
    assert_eq!(published(&app), ["new", "old"]);
    app.clock.set(NOW + 60 + 600);
    assert_eq!(published(&app), ["new"]);
}

#[test]
fn expired_key_disappears_when_the_file_has_its_public_key_too() {
    let old = key("old", json!({ "exp": NOW + 60 }));
    let app = app(&[public(&old), old, key("new", json!({}))]);
    assert_eq!(published(&app), ["new", "old"]);
    app.clock.set(NOW + 60 + 600);
    assert_eq!(published(&app), ["new"]);
}

#[test]
fn missing_signing_key_returns_503() {
    let app = app(&[key("a", json!({ "exp": NOW + 60 })), key("b", json!({ "nbf": NOW + 120 }))]);
    app.clock.set(NOW + 90);
    let answer = app.hydrate(SESSION);
    answer.assert_is_problem();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["type"], "keys.unavailable");
    assert_eq!(published(&app), ["a", "b"]);
    app.clock.set(NOW + 120);
    assert_eq!(app.token(SESSION).kid().as_str(), "b");
}

#[test]
fn etag_changes_with_the_published_keys() {
    let app = app(&[key("old", json!({ "exp": NOW + 60 })), key("new", json!({}))]);
    let etag = |app: &TestApp| app.get("/.well-known/jwks.json").header("etag").unwrap().to_owned();
    let before = etag(&app);
    app.clock.set(NOW + 60);
    assert_eq!(etag(&app), before);
    app.clock.set(NOW + 60 + 600);
    assert_ne!(etag(&app), before);
}
