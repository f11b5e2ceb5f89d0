//! Counters of requests and tokens, and the gauges of keys.

use super::*;
use crate::service::gauges::gauges;
use crate::telemetry::{Gauges, RouteMetrics};

#[test]
fn profile_in_shadow_mode_compares_sessions_and_issues_tokens_that_are_delivered_alone() {
    let service = Service::new(generation(ProfileSpec { shadow: true, ..profile() }, &key_set("first"), &[]));
    let recorder = service.issuer.recorder();
    let hydrate = recorder.metrics().route("hydrate", "POST /hydrate", true);
    let issue = recorder.metrics().route("issue", "POST /issue", true);
    let post = |route: &RouteMetrics, body: &str, delivery: Delivery| {
        let generation = service.issuer.current();
        let posted = async {
            let permit = service.issuer.admit(&generation, &anyone(), "p").await?;
            service.issuer.issue_posted(permit, body.as_bytes(), delivery).await
        };
        let completion = match block_on(posted).unwrap() {
            Posted::Compared(comparison) => Completion::Compared(comparison),
            Posted::Issued { outcome, .. } => Completion::Issued(outcome),
        };
        recorder.finish(
            &Exchange {
                request_id: RequestId::new(Uuid::nil()),
                route,
                method: "POST",
                status: 200,
                elapsed: Duration::from_millis(1),
                at: Timestamp::from_seconds(START),
                peer: None,
                asked: Some("p"),
                profile: Some("p"),
                result: Ok(Some(&completion)),
            },
            None,
        );
        completion
    };
    // The session has no token to compare with, or is refused.
    assert!(matches!(post(&hydrate, SESSION, Delivery::InSession), Completion::Compared(_)));
    assert!(matches!(post(&hydrate, "[]", Delivery::InSession), Completion::Compared(_)));
    assert!(!service.issuer.metrics_text().contains("claimsmith_tokens_issued_total{"));
    assert!(matches!(post(&issue, SESSION, Delivery::Alone), Completion::Issued(_)));
    let text = service.issuer.metrics_text();
    for line in [
        r#"claimsmith_shadow_comparisons_total{profile="p",result="failed"} 1"#,
        r#"claimsmith_shadow_comparisons_total{profile="p",result="refused"} 1"#,
        r#"claimsmith_tokens_issued_total{profile="p",alg="ES256"} 1"#,
        r#"claimsmith_http_requests_total{route="hydrate",status="200"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
}

#[test]
fn metrics_count_requests_by_result_and_tokens_by_signature() {
    let service = Service::standard();
    let recorder = service.issuer.recorder();
    let route = recorder.metrics().route("hydrate", "POST /hydrate", true);
    let finish = |result: Result<Outcome, Refusal>, status| {
        let result = result.map(Completion::Issued);
        recorder.finish(
            &Exchange {
                request_id: RequestId::new(Uuid::nil()),
                route: &route,
                method: "POST",
                status,
                elapsed: Duration::from_millis(1),
                at: service.clock.now(),
                peer: None,
                asked: Some("p"),
                profile: Some("p"),
                result: result.as_ref().map(Some),
            },
            None,
        );
    };
    finish(service.issue(SESSION), 200);
    finish(service.issue(SESSION), 200);
    finish(service.issue("[]"), 422);
    let text = service.issuer.metrics_text();
    for line in [
        r#"claimsmith_http_requests_total{route="hydrate",status="200"} 2"#,
        r#"claimsmith_http_requests_total{route="hydrate",status="422"} 1"#,
        r#"claimsmith_tokens_issued_total{profile="p",alg="ES256"} 1"#,
        r#"claimsmith_token_cache_lookups_total{result="hit"} 1"#,
        r#"claimsmith_token_cache_lookups_total{result="miss"} 1"#,
        r#"claimsmith_failures_total{code="session.invalid",profile="p",caller="unknown"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
    assert!(recorder.audit().is_none() && recorder.traces().is_none() && recorder.start_span(None).is_none());
}

#[test]
fn callers_are_counted_by_result() {
    let credential = KnownCredential::Bearer { tokens: vec![Secret::new(b"t0ken".to_vec())] };
    let caller =
        KnownCaller { name: "gateway".to_owned(), credential, profiles: None, limits: CallerLimits::default() };
    let metrics = Metrics::new();
    let mut generation = generation(profile(), &key_set("k"), &[]);
    generation.callers = Callers::new(&[caller], None, &metrics);
    let service = Service::new(generation);
    let issue = |body| {
        let credentials = Credentials::Authorization(b"Bearer t0ken");
        block_on(service.issue_to(
            &Peer { address: None, transport: Transport::Plain, credentials, secrets: Vec::new() },
            "p",
            body,
        ))
    };
    assert!(issue(SESSION).is_ok() && issue(SESSION).is_ok() && issue("[]").is_err());
    let text = metrics.text(&Gauges::default());
    for (result, count) in [("issued", 2), ("refused", 1)] {
        let line = format!(r#"claimsmith_caller_requests_total{{caller="gateway",result="{result}"}} {count}"#);
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
}

#[test]
fn gauges_follow_the_times_of_the_keys() {
    let key = |kid: &str, times: &str| {
        let set: serde_json::Value = serde_json::from_str(&key_set(kid)).unwrap();
        let mut key = set["keys"][0].clone();
        let times: serde_json::Value = serde_json::from_str(times).unwrap();
        key.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        key
    };
    let keys = serde_json::json!({"keys": [
        key("retired", &format!(r#"{{"exp":{}}}"#, START - 10)),
        key("first", &format!(r#"{{"nbf":{},"exp":{}}}"#, START - 50, START + 40)),
        key("second", &format!(r#"{{"nbf":{},"exp":{}}}"#, START - 60, START + 70)),
        key("next", &format!(r#"{{"nbf":{},"exp":{}}}"#, START + 100, START + 200)),
    ]});
    let generation = generation(profile(), &keys.to_string(), &[]);
    let at = |seconds| gauges(&generation.mint, Timestamp::from_seconds(START + seconds));

    let now = at(0);
    assert_eq!((now.templates, now.profiles.len(), now.key_sets.len()), (1, 1, 1));
    let set = &now.key_sets[0];
    assert_eq!((set.set.as_str(), set.active, set.pending, set.retired, set.published), ("keys", 2, 1, 1, 4));
    let profile = &now.profiles[0];
    assert_eq!((profile.profile.as_str(), profile.can_sign, profile.key_age), ("p", true, Some(50)));
    assert_eq!((profile.next_change, profile.signing_end, profile.publication_end), (Some(40), Some(70), Some(140)));

    // The key that expires now no longer counts.
    assert_eq!(at(40).profiles[0].signing_end, Some(30));
    let between = at(70);
    let profile = &between.profiles[0];
    assert_eq!((profile.can_sign, profile.signing_end, profile.next_change), (false, None, Some(30)));
}
