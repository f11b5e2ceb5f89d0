//! The hydrator contract and the claims of a token, as in Oathkeeper's own tests.

use serde_json::{Value, json};

use crate::support::{NOW, Setup, TestApp, post, send, spawn_app};
use claimsmith::keys::SignatureAlg;

const WHOLE: &str = r#" {"subject":"foo", "new": [12345678901234567890, 1e21, 2.0, -0.0],
  "extra":{"n":12345678901234567890,"e":1e21,"f":2.0,"u":"\u00e9\u2028"},"header":null,"match_context":{
  "regexp_capture_groups":["orders/42"],"url":{"Scheme":"https","Opaque":"","User":null,"Host":"api.example.com",
  "Path":"/v1","RawPath":"","OmitHost":false,"ForceQuery":false,"RawQuery":"a=b\u0026c=d","Fragment":"","RawFragment":""},
  "method":"GET","header":{"Accept":["*/*"],"Cookie":["a=b","c=d"]}}} "#;

fn app(template: &str) -> TestApp {
    spawn_app(&Setup { template, ..Setup::default() })
}

/// Returns the token of a response, and the text of the response without it.
fn without_token(text: &str) -> (String, String) {
    let start = text.find("eyJ").unwrap();
    let end = start + text[start..].find('"').unwrap();
    (text[start..end].to_owned(), format!("{}{}", &text[..start], &text[end..]))
}

#[test]
fn session_is_returned_byte_for_byte_with_the_token_in_one_header() {
    let app = app("");
    let answer = app.hydrate(WHOLE);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let (token, rest) = without_token(&answer.text());
    assert_eq!(rest, WHOLE.replace("\"header\":null", "\"header\":{\"Authorization\":[\"Bearer \"]}"));
    let claims = app.verify(&token);
    assert!(claims.claims().contains("12345678901234567890") && claims.claims().contains("1e21"));
    assert!(claims.claims().contains("\"f\":2.0"));
}

#[test]
fn null_extra_and_other_headers_are_preserved() {
    let app = app("{}");
    let session = r#"{"subject":"foo","extra":null,"header":{"X-A":["1","2"],"authorization":["Bearer evil"]}}"#;
    let (_, rest) = without_token(&app.hydrate(session).text());
    assert_eq!(rest, r#"{"subject":"foo","extra":null,"header":{"X-A":["1","2"],"Authorization":["Bearer "]}}"#);
}

#[test]
fn token_has_the_type_of_its_profile() {
    for (profile, typ) in [("", "JWT"), ("    typ: at+jwt", "at+jwt")] {
        let app = spawn_app(&Setup { profile, ..Setup::default() });
        assert_eq!(app.token(WHOLE).typ(), Some(typ));
    }
}

#[test]
fn token_is_placed_as_the_profile_configures() {
    let app = spawn_app(&Setup { profile: "    placement: { extra: token }", template: "{}", ..Setup::default() });
    let (_, rest) = without_token(&app.hydrate(r#"{"subject":"foo","extra":{"foo":"bar","token":"old"}}"#).text());
    assert_eq!(rest, r#"{"subject":"foo","extra":{"foo":"bar","token":""}}"#);
    let (_, rest) = without_token(&app.hydrate(r#"{"subject":"foo","extra":null}"#).text());
    assert_eq!(rest, r#"{"subject":"foo","extra":{"token":""}}"#);

    let app =
        spawn_app(&Setup { profile: "    placement: { header: x-id-token }", template: "{}", ..Setup::default() });
    let (_, rest) = without_token(&app.hydrate(r#"{"subject":"foo"}"#).text());
    assert_eq!(rest, r#"{"subject":"foo","header":{"X-Id-Token":[""]}}"#);
}

#[test]
fn query_parameters_are_ignored() {
    let app = app("{}");
    let body = br#"{"subject":"foo"}"#;
    let answer = send(app.api, &post("/hydrate/p?a=b&c=%2612&profile=admin&template=x", &[], body));
    assert_eq!(answer.status, 200);
}

#[test]
fn issue_returns_only_the_token() {
    let app = app("{}");
    let answer = app.post("/issue/p", r#"{"subject":"foo"}"#);
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    let claims: Value = serde_json::from_str(app.verify(body["token"].as_str().unwrap()).claims()).unwrap();
    assert_eq!(claims["jti"], body["jti"]);
}

#[test]
fn registered_claims_are_set_for_each_session() {
    let app = spawn_app(&Setup {
        profile: "    ttl: 30s\n    audience: [foo, bar]",
        template: r#"{"custom-claim": {{Subject}}}"#,
        alg: Some(SignatureAlg::Rs256),
        ..Setup::default()
    });
    let token = app.token(r#"{"subject":"foo"}"#);
    assert_eq!((token.alg(), token.kid().as_str()), (SignatureAlg::Rs256, "key-1"));
    let mut claims: Value = serde_json::from_str(token.claims()).unwrap();
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    let expected = json!({"custom-claim": "foo", "iss": "https://issuer.example/", "sub": "foo", "aud": ["foo", "bar"],
        "iat": NOW, "nbf": NOW, "exp": NOW + 30, "jti": null});
    assert_eq!(claims, expected);
}

#[test]
fn claims_come_from_extra_with_their_types() {
    let app = app(r#"{"joined": "{{Extra.abc}}/{{Extra.def}}", "one": {{Extra.abc}}, "int": {{Extra.nested.int}},
            "float": {{Extra.nested.float}}, "bool": {{Extra.nested.bool}},
            "list": "{{join Extra.[example.com/some-claims] ","}}", "aud": ["foo", "bar"]}"#);
    let claims = app.claims(
        r#"{"subject":"foo","extra":{"abc":"value1","def":"value2",
            "nested":{"int":10,"float":2.71,"bool":true},"example.com/some-claims":["Foo","Bar"]}}"#,
    );
    let expected = json!({"joined": "value1/value2", "one": "value1", "int": 10, "float": 2.71, "bool": true,
        "list": "Foo,Bar", "aud": ["foo", "bar"]});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&claims[name], value, "{name}");
    }
}

#[test]
fn capture_groups_are_indexed_and_can_be_missing() {
    let app = app(r#"{"g": {{default MatchContext.RegexpCaptureGroups.[1] ""}}}"#);
    for (groups, expected) in [(r#"["user","pass"]"#, "pass"), (r#"["user"]"#, ""), ("[]", ""), ("null", "")] {
        let session = format!(r#"{{"subject":"foo","match_context":{{"regexp_capture_groups":{groups}}}}}"#);
        assert_eq!(app.claims(&session)["g"], expected, "{groups}");
    }
}

#[test]
fn missing_values_follow_the_profile_setting() {
    let template = r#"{"a": {{Extra.def}}, "b": 1}"#;
    let session = r#"{"subject":"foo","extra":{}}"#;
    let (status, problem) = app(template).refusal(session);
    assert_eq!((status, &problem["type"]), (422, &json!("template.missing_value")));
    assert!(problem["detail"].as_str().unwrap().contains("Extra.def"), "{problem}");

    let app = spawn_app(&Setup { template, profile: "    missing: as_null", ..Setup::default() });
    assert_eq!(app.claims(session)["a"], Value::Null);
    let app = spawn_app(&Setup { template, profile: "    missing: omit", ..Setup::default() });
    assert_eq!((app.claims(session).get("a"), &app.claims(session)["b"]), (None, &json!(1)));
}

#[test]
fn traits_never_change_token_structure() {
    let app = app(r#"{"name": "{{Extra.name}}", "typed": {{Extra.name}}, "{{Extra.name}}": 1}"#);
    let hostile = r#"","admin":true,"x":""#;
    let session = json!({"subject": "foo", "extra": {"name": hostile}}).to_string();
    let claims = app.claims(&session);
    assert_eq!((&claims["name"], &claims["typed"], &claims[hostile]), (&json!(hostile), &json!(hostile), &json!(1)));
    assert_eq!((claims.get("admin"), claims.as_object().unwrap().len()), (None, 9));
}

#[test]
fn session_value_that_becomes_a_registered_claim_is_rejected() {
    let app = app(r#"{"{{Extra.name}}": "evil"}"#);
    let (status, problem) = app.refusal(r#"{"subject":"foo","extra":{"name":"sub"}}"#);
    assert_eq!((status, &problem["type"]), (422, &json!("claims.registered")));
    let copying = self::app("{{Extra}}");
    assert_eq!(copying.claims(r#"{"subject":"foo","extra":{"a":1}}"#)["a"], 1);
    assert_eq!(copying.refusal(r#"{"subject":"foo","extra":{"iss":"evil"}}"#).1["type"], "claims.registered");
    assert_eq!(copying.refusal(r#"{"subject":"foo","extra":null}"#).1["type"], "claims.not_an_object");
}

#[test]
fn duplicate_claim_name_from_values_is_rejected() {
    let app = app(r#"{"{{Extra.a}}": 1, "{{Extra.b}}": 2}"#);
    let (status, problem) = app.refusal(r#"{"subject":"foo","extra":{"a":"x","b":"x"}}"#);
    assert_eq!((status, &problem["type"]), (422, &json!("claims.duplicate_member")));
}

#[test]
fn token_never_outlives_its_session() {
    let app = app("{}");
    let session = |expires: &str| format!(r#"{{"subject":"foo","extra":{{"expires_at":{expires}}}}}"#);
    assert_eq!(app.claims(&session(&(NOW + 60).to_string()))["exp"], NOW + 60);
    assert_eq!(app.claims(&session("\"2026-11-23T12:00:59.9Z\""))["exp"], NOW + 59);
    assert_eq!(app.claims(&session("null"))["exp"], NOW + 900);
    app.clock.set(NOW + 60);
    assert_eq!(app.refusal(&session(&(NOW + 60).to_string())).1["type"], "session.expired");
    assert_eq!(app.refusal(&session("\"soon\"")).1["type"], "session.expiry");
    assert_eq!(app.refusal(r#"{"subject":"foo","extra":{"active":false}}"#).1["type"], "session.inactive");
}

#[test]
fn subject_path_is_configurable_and_empty_subject_is_rejected() {
    let at_identity =
        spawn_app(&Setup { template: "{}", profile: "    subject: Extra.identity.id", ..Setup::default() });
    let claims = at_identity.claims(r#"{"subject":"foo","extra":{"identity":{"id":"bar"}}}"#);
    assert_eq!(claims["sub"], "bar");
    assert_eq!(at_identity.refusal(r#"{"subject":"foo"}"#).1["type"], "session.empty_subject");

    assert_eq!(app("{}").refusal(r#"{"subject":""}"#).0, 422);
    let lax = spawn_app(&Setup { template: "{}", profile: "    allow_empty_subject: true", ..Setup::default() });
    assert_eq!(lax.claims(r#"{"subject":""}"#)["sub"], "");
}

#[test]
fn published_keys_verify_tokens_of_each_algorithm() {
    for alg in SignatureAlg::ALL.into_iter().filter(|alg| !alg.is_symmetric()) {
        let app = spawn_app(&Setup { template: "{}", alg: Some(alg), ..Setup::default() });
        assert_eq!(app.token(r#"{"subject":"foo"}"#).alg(), alg);
    }
}

#[test]
fn claims_are_validated_at_each_issue_when_configured() {
    let schema = [("templates/p/claims.schema.json", r#"{"properties": {"name": {"maxLength": 3}}}"#)];
    for (profile, status) in [("", 200), ("    validate: always", 422)] {
        let app =
            spawn_app(&Setup { template: "{\"name\": {{Extra.name}}}", profile, files: &schema, ..Setup::default() });
        assert_eq!(app.hydrate(r#"{"subject":"u","extra":{"name":"zoe"}}"#).status, 200);
        let answer = app.hydrate(r#"{"subject":"u","extra":{"name":"canary"}}"#);
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 422 {
            assert_eq!(answer.json()["type"], "claims.schema");
            assert!(!answer.text().contains("canary"), "{}", answer.text());
        }
    }
}

#[test]
fn issued_at_is_the_time_of_the_clock() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    app.clock.set(NOW + 3600);
    assert_eq!(app.claims(r#"{"subject":"foo"}"#)["iat"], NOW + 3600);
}
