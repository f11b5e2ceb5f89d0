//! Who may ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Setup, TestApp, post, send, spawn_app};

const CONFIG: &str = "callers:
  - { name: oathkeeper, basic: { username: oathkeeper, password_file: basic.txt } }
  - { name: batch, bearer: { token_file: bearer.txt } }";

fn app() -> TestApp {
    let files = &[("basic.txt", "a-password-of-some-length\n"), ("bearer.txt", "a-bearer-token-of-some-length")];
    spawn_app(&Setup { config: CONFIG, files, template: "{}", ..Setup::default() })
}

fn status(app: &TestApp, path: &str, authorization: &str) -> u16 {
    let answer = send(app.api, &post(path, &[("Authorization", authorization)], br#"{"subject":"u"}"#));
    if answer.status != 200 {
        answer.assert_is_problem();
        assert!(answer.header("www-authenticate").is_some());
    }
    answer.status
}

#[test]
fn each_caller_is_let_in_with_its_own_credentials_alone() {
    let app = app();
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for path in ["/hydrate/p", "/issue/p"] {
        assert_eq!(status(&app, path, &basic("oathkeeper:a-password-of-some-length")), 200);
        assert_eq!(status(&app, path, "Bearer a-bearer-token-of-some-length"), 200);
        for wrong in [
            &basic("oathkeeper:another"),
            &basic("batch:a-password-of-some-length"),
            &basic("oathkeeper"),
            "Bearer a-password-of-some-length",
            "Bearer the-end-users-own-token",
            "Basic ???",
            "Negotiate x",
        ] {
            assert_eq!(status(&app, path, wrong), 401, "{wrong}");
        }
    }
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 401);
    assert_eq!(app.get("/.well-known/jwks.json").status, 200);
    assert_eq!(app.get("/openapi.json").status, 200);
}

#[test]
fn without_callers_the_end_users_authorization_is_ignored() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    assert_eq!(status(&app, "/hydrate/p", "Bearer the-end-users-own-token"), 200);
}
