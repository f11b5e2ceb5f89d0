//! The admin listener.

use crate::support::{Setup, spawn_app};

#[test]
fn health_and_version_are_served() {
    let app = spawn_app(&Setup::default());
    assert_eq!(app.get_admin("/health/alive").json()["status"], "ok");
    assert_eq!(app.get_admin("/health/ready").json()["status"], "ok");
    assert_eq!(app.get_admin("/version").json()["version"], env!("CARGO_PKG_VERSION"));
    let unknown = app.get_admin("/hydrate/p");
    assert_eq!(unknown.status, 404);
    unknown.assert_is_problem();
}

#[test]
fn metrics_count_requests_tokens_and_failures() {
    let app = spawn_app(&Setup { template: "{\"a\": {{Extra.a}}}", ..Setup::default() });
    assert_eq!(app.hydrate(r#"{"subject":"u","extra":{"a":1}}"#).status, 200);
    assert_eq!(app.hydrate(r#"{"subject":"u","extra":{}}"#).status, 422);
    assert_eq!(app.post("/issue/other", "{}").status, 404);
    let answer = app.get_admin("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    for line in [
        r#"claimsmith_http_requests_total{route="/hydrate/{profile}",status="200"} 1"#,
        r#"claimsmith_http_requests_total{route="/hydrate/{profile}",status="422"} 1"#,
        r#"claimsmith_http_request_duration_seconds_count{route="/hydrate/{profile}"} 2"#,
        r#"claimsmith_tokens_issued_total{profile="p",alg="ES256"} 1"#,
        r#"claimsmith_failures_total{code="template.missing_value",profile="p",caller="unknown"} 1"#,
        r#"claimsmith_failures_total{code="profile.unknown",profile="unknown",caller="unknown"} 1"#,
        r#"claimsmith_failures_total{code="internal",profile="unknown",caller="unknown"} 0"#,
        r#"claimsmith_profile_requests_total{profile="p",result="issued"} 1"#,
        r#"claimsmith_profile_requests_total{profile="p",result="refused"} 1"#,
        r#"claimsmith_profile_requests_total{profile="unknown",result="refused"} 1"#,
        "claimsmith_ready 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
    }
}
