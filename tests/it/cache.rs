//! Which tokens are served from the cache.

use serde_json::Value;

use crate::support::{NOW, Setup, TestApp, send, spawn_app};
use claimsmith::keys::{self, KeyId, SignatureAlg};

const TEMPLATE: &str = r#"{"name": {{Extra.name}}, "host": {{MatchContext.URL.Host}}}"#;

fn app(profile: &str) -> TestApp {
    spawn_app(&Setup { template: TEMPLATE, profile, ..Setup::default() })
}

/// Returns a session with this name, host and request id.
fn session(name: &str, host: &str, id: &str) -> String {
    format!(
        r#"{{"subject":"zoe","extra":{{"name":"{name}","seen":"{id}"}},"header":null,
            "match_context":{{"url":{{"Host":"{host}"}},"header":{{"X-Request-Id":["{id}"]}}}}}}"#
    )
}

fn jti(app: &TestApp, session: &str) -> String {
    app.claims(session)["jti"].as_str().unwrap().to_owned()
}

#[test]
fn cached_token_is_returned_while_template_inputs_are_equal() {
    let app = app("");
    let first = jti(&app, &session("zoe", "a", "1"));
    assert_eq!(jti(&app, &session("zoe", "a", "2")), first);
    assert_ne!(jti(&app, &session("zoé", "a", "1")), first);
    assert_ne!(jti(&app, &session("zoe", "b", "1")), first);
    let other_subject = session("zoe", "a", "1").replace("\"subject\":\"zoe\"", "\"subject\":\"eve\"");
    assert_ne!(jti(&app, &other_subject), first);
    assert_eq!(app.claims(&other_subject)["sub"], "eve");
    assert_eq!(jti(&app, &session("zoe", "a", "3")), first);
    let metrics = app.get_admin("/metrics").text();
    for line in [
        "claimsmith_token_cache_lookups_total{result=\"hit\"} 3",
        "claimsmith_token_cache_lookups_total{result=\"miss\"} 4",
        "claimsmith_token_cache_tokens 4",
    ] {
        assert!(metrics.contains(line), "expected {line} in {metrics}");
    }
}

/// Long enough for the cache of `extra`.
#[test]
fn cached_extra_selects_the_same_token_as_parsed_extra() {
    let app = app("");
    let long = |name: &str, seen: &str| session(name, "a", &format!("{seen}{}", "-".repeat(96)));
    let first = jti(&app, &long("zoe", "1"));
    assert_eq!(jti(&app, &long("zoe", "1")), first);
    assert_eq!(jti(&app, &long("zoe", "2")), first);
    // An equal prefix, followed by another name.
    let behind = |name: &str| {
        long("x", "1").replacen("\"name\":\"x\",", "", 1).replacen("--\"}", &format!("--\",\"name\":\"{name}\"}}"), 1)
    };
    let (of_zoe, of_eve) = (app.claims(&behind("zoe")), app.claims(&behind("eve")));
    assert_eq!((&of_zoe["name"], &of_eve["name"]), (&"zoe".into(), &"eve".into()));
    assert_eq!(app.claims(&behind("zoe"))["jti"], of_zoe["jti"]);
    assert_eq!(app.claims(&behind("eve"))["jti"], of_eve["jti"]);
    // Members after a cached `extra` are parsed as usual.
    let twice = long("zoe", "1").replacen("\"header\":null", "\"Extra\":{}", 1);
    assert_eq!(app.refusal(&twice).1["type"], "session.duplicate_member");
    let cut = long("zoe", "1").replacen("},\"header\"", "}\"header\"", 1);
    assert_eq!(app.refusal(&cut).1["type"], "session.malformed");
}

#[test]
fn cached_token_is_placed_into_the_current_session() {
    let app = app("");
    app.hydrate(&session("zoe", "a", "1"));
    let mut answer = app.hydrate(&session("zoe", "a", "2")).json();
    assert!(answer["header"]["Authorization"][0].as_str().unwrap().starts_with("Bearer ey"));
    answer["header"] = Value::Null;
    assert_eq!(answer, serde_json::from_str::<Value>(&session("zoe", "a", "2")).unwrap());
}

#[test]
fn profile_without_cache_signs_each_request() {
    for (profile, config) in [("    cache: off", ""), ("", "limits: { token_cache: 0B }")] {
        let app = spawn_app(&Setup { template: TEMPLATE, profile, config, ..Setup::default() });
        assert_ne!(jti(&app, &session("zoe", "a", "1")), jti(&app, &session("zoe", "a", "1")));
    }
}

#[test]
fn cached_token_is_replaced_before_a_tenth_of_its_lifetime_is_left() {
    let app = app("    ttl: 1000s");
    let first = jti(&app, &session("zoe", "a", "1"));
    app.clock.set(NOW + 799);
    assert_eq!(jti(&app, &session("zoe", "a", "1")), first);
    app.clock.set(NOW + 900);
    let second = app.claims(&session("zoe", "a", "1"));
    assert_ne!(second["jti"], first.as_str());
    assert_eq!(second["exp"], NOW + 1900);
    // After the clock is set back, no token from the future is served.
    app.clock.set(NOW + 899);
    assert_eq!(app.claims(&session("zoe", "a", "1"))["iat"], NOW + 899);
}

#[test]
fn cached_token_is_not_returned_after_session_expiry() {
    let app = app("    ttl: 1000s");
    let session = |active: &str, end: i64| {
        format!(
            r#"{{"subject":"u","extra":{{"name":"n","active":{active},"expires_at":{end}}},"match_context":{{"url":{{"Host":"h"}}}}}}"#
        )
    };
    let first = app.claims(&session("true", NOW + 100));
    assert_eq!(first["exp"], NOW + 100);
    app.clock.set(NOW + 99);
    assert_eq!(app.claims(&session("true", NOW + 100))["jti"], first["jti"]);
    assert_eq!(app.refusal(&session("false", NOW + 100)).1["type"], "session.inactive");
    assert_ne!(app.claims(&session("true", NOW + 200))["jti"], first["jti"]);
    app.clock.set(NOW + 100);
    assert_eq!(app.refusal(&session("true", NOW + 100)).1["type"], "session.expired");
}

#[test]
fn cached_token_is_not_returned_after_its_key_retires() {
    let member = |kid: &str, times: &str| {
        let set = keys::generate(SignatureAlg::Es256, None, &KeyId::parse(kid).unwrap()).unwrap().to_set().to_owned();
        let member = set.split_once('[').unwrap().1.rsplit_once(']').unwrap().0.trim().to_owned();
        format!("{},{times}}}", member.strip_suffix('}').unwrap().trim_end())
    };
    let set = format!(
        "{{\"keys\":[{},{}]}}",
        member("old", &format!("\"exp\":{}", NOW + 60)),
        member("new", &format!("\"nbf\":{}", NOW + 50))
    );
    let app = spawn_app(&Setup {
        template: TEMPLATE,
        profile: "    ttl: 1000s",
        config: "jwks_max_age: 1s",
        files: &[("keys.json", &set)],
        ..Setup::default()
    });
    let kid = || app.token(&session("zoe", "a", "1")).kid().as_str().to_owned();
    assert_eq!((kid(), kid()), ("old".to_owned(), "old".to_owned()));
    app.clock.set(NOW + 50);
    assert_eq!((kid(), kid()), ("new".to_owned(), "new".to_owned()));
    // After the clock is set back, the earlier key signs again.
    app.clock.set(NOW + 49);
    assert_eq!(kid(), "old");
}

#[test]
fn template_that_reads_the_time_is_not_cached() {
    let app = spawn_app(&Setup {
        files: &[("templates/clock/claims.gotmpl", r#"{"at": "{{ now | unixEpoch }}"}"#)],
        profile: "    template: clock",
        ..Setup::default()
    });
    let first = app.claims(r#"{"subject":"u"}"#);
    app.clock.set(NOW + 1);
    let second = app.claims(r#"{"subject":"u"}"#);
    assert_eq!((&first["at"], &second["at"]), (&NOW.to_string().into(), &(NOW + 1).to_string().into()));
}

#[test]
fn reload_keeps_cached_tokens_of_unchanged_templates() {
    let app = spawn_app(&Setup {
        template: TEMPLATE,
        config: "  q:\n    issuer: q\n    jwks: keys.json\n    template: other\nreload: { interval: 100ms }",
        files: &[("templates/other/claims.hbs", TEMPLATE)],
        ..Setup::default()
    });
    let jti_of_q = || {
        let answer = app.post("/issue/q", &session("zoe", "a", "1")).json();
        answer["jti"].as_str().unwrap().to_owned()
    };
    let (p, q) = (jti(&app, &session("zoe", "a", "1")), jti_of_q());
    app.folder.write("templates/p/claims.hbs", r#"{"name": {{Extra.name}}, "v": 2}"#);
    crate::support::wait_until(|| app.claims(&session("zoe", "a", "1"))["v"] == 2);
    assert_ne!(jti(&app, &session("zoe", "a", "1")), p);
    assert_eq!(jti_of_q(), q);
}

#[test]
fn changed_token_type_is_not_served_from_the_cache() {
    let other = "  q:\n    issuer: https://issuer.example/\n    jwks: keys.json\n    template: p\n    typ: logout+jwt";
    let config = format!("{other}\nreload: {{ interval: 100ms }}");
    let app = spawn_app(&Setup { template: TEMPLATE, config: &config, ..Setup::default() });
    let session = session("zoe", "a", "1");
    let old = app.token(&session);
    assert_eq!((old.typ(), app.token(&session).claims()), (Some("JWT"), old.claims()), "served from the cache");
    let of_q = app.verify(app.post("/issue/q", &session).json()["token"].as_str().unwrap());
    assert_eq!(of_q.typ(), Some("logout+jwt"));

    let path = app.folder.path().join("claimsmith.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    app.folder
        .write("claimsmith.yaml", &text.replacen("    jwks: keys.json\n", "    jwks: keys.json\n    typ: at+jwt\n", 1));
    crate::support::wait_until(|| app.token(&session).typ() == Some("at+jwt"));
    let new = app.token(&session);
    assert_ne!(new.claims(), old.claims());
    assert_eq!(app.token(&session).claims(), new.claims(), "served from the cache");
}

#[test]
fn concurrent_equal_requests_share_one_signature() {
    let app = spawn_app(&Setup { template: TEMPLATE, alg: Some(SignatureAlg::Rs512), ..Setup::default() });
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..32)
            .map(|id| {
                scope.spawn({
                    let app = &app;
                    move || jti(app, &session("zoe", "a", &id.to_string()))
                })
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert!(
        app.get_admin("/metrics").text().contains("claimsmith_tokens_issued_total{profile=\"p\",alg=\"RS512\"} 1\n")
    );
}

#[test]
fn slow_keys_sign_on_other_threads_without_losing_requests() {
    let key = keys::generate(SignatureAlg::Rs256, Some(4096), &KeyId::parse("slow").unwrap()).unwrap();
    let app = spawn_app(&Setup {
        template: TEMPLATE,
        profile: "    cache: off",
        files: &[("keys.json", key.to_set())],
        ..Setup::default()
    });
    let set = app.get("/.well-known/jwks.json").body;
    std::thread::scope(|scope| {
        for asker in 0..16 {
            let (app, set) = (&app, &set);
            scope.spawn(move || {
                for id in 0..8 {
                    let request =
                        crate::support::post("/issue/p", &[], session(&format!("{asker}-{id}"), "a", "1").as_bytes());
                    let answer = send(app.api, &request).json();
                    let token = keys::verify(answer["token"].as_str().unwrap(), set).unwrap();
                    let claims: Value = serde_json::from_str(token.claims()).unwrap();
                    assert_eq!(claims["name"], format!("{asker}-{id}"));
                }
            });
        }
    });
}
