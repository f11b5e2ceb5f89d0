//! Published key sets, discovery documents, and the OpenAPI document.

use serde_json::{Value, json};

use crate::support::{Setup, post, send, spawn_app};
use claimsmith::keys::SignatureAlg;

#[test]
fn published_sets_contain_only_public_members() {
    for alg in [SignatureAlg::Rs256, SignatureAlg::Es384, SignatureAlg::EdDsa] {
        let app = spawn_app(&Setup { alg: Some(alg), ..Setup::default() });
        for path in ["/.well-known/jwks.json", "/p/.well-known/jwks.json"] {
            let answer = app.get(path);
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jwk-set+json")));
            let key = answer.json()["keys"][0].clone();
            assert_eq!((&key["kid"], &key["use"]), (&json!("key-1"), &json!("sig")));
            assert_eq!(key["alg"], alg.as_str());
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.get(private).is_none(), "{alg} shows {private}");
            }
        }
    }
    let app = spawn_app(&Setup { alg: Some(SignatureAlg::Hs256), ..Setup::default() });
    assert_eq!(app.get("/.well-known/jwks.json").text(), r#"{"keys":[]}"#);
}

#[test]
fn published_set_supports_conditional_requests() {
    let app = spawn_app(&Setup::default());
    let first = app.get("/.well-known/jwks.json");
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    let etag = first.header("etag").unwrap();
    let request = |method: &str, tag: &str| {
        format!(
            "{method} /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
        )
    };
    for tag in [etag.to_owned(), format!("\"a\", W/{etag}"), "*".to_owned()] {
        let again = send(app.api, request("GET", &tag).as_bytes());
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(etag)));
    }
    assert_eq!(send(app.api, request("GET", "\"other\"").as_bytes()).status, 200);
    let head = send(app.api, request("HEAD", "\"other\"").as_bytes());
    assert_eq!((head.status, head.header("content-length")), (200, first.header("content-length")));
}

#[test]
fn discovery_names_issuer_keys_and_algorithms() {
    let app = spawn_app(&Setup::default());
    for (path, jwks) in [
        ("/.well-known/openid-configuration", "/.well-known/jwks.json"),
        ("/p/.well-known/openid-configuration", "/p/.well-known/jwks.json"),
    ] {
        let document = app.get(path).json();
        assert_eq!(document["issuer"], "https://issuer.example/");
        assert_eq!(document["jwks_uri"], format!("http://{}{jwks}", app.api));
        assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256"]));
    }
    let app = spawn_app(&Setup { config: "public_url: https://tokens.example/x/", ..Setup::default() });
    let document = app.get("/.well-known/openid-configuration").json();
    assert_eq!(document["jwks_uri"], "https://tokens.example/x/.well-known/jwks.json");
}

#[test]
fn several_issuers_have_separate_discovery_documents() {
    let app = spawn_app(&Setup {
        profile: "  q:\n    issuer: https://other.example/\n    jwks: keys.json\n    template: p",
        ..Setup::default()
    });
    assert_eq!(app.get("/q/.well-known/openid-configuration").json()["issuer"], "https://other.example/");
    let together = app.get("/.well-known/openid-configuration");
    assert_eq!(together.status, 404);
    together.assert_is_problem();
}

#[test]
fn openapi_operations_match_served_routes() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: proxy, header: { secret_file: secret } }]
sources: { guest: { type: anonymous } }
checks: { c: { sources: guest, profile: p } }",
        files: &[("secret", "a-secret-of-some-length")],
        ..Setup::default()
    });
    let document = app.get("/openapi.json").json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    paths.sort_unstable();
    let served = [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/auth-request/{check}",
        "/ext-authz/{check}/{path}",
        "/forward-auth/{check}",
        "/hydrate/{profile}",
        "/issue/{profile}",
        "/openapi.json",
        "/{profile}/.well-known/jwks.json",
        "/{profile}/.well-known/openid-configuration",
    ];
    assert_eq!(paths, served);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{profile}", "p").replace("{check}", "c");
            let bytes = match method.as_str() {
                "post" => post(&path, &[("X-Claimsmith-Secret", "a-secret-of-some-length")], br#"{"subject":"u"}"#),
                other => {
                    let forwarded = "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\nX-Forwarded-Uri: /\r\n";
                    let metadata = format!(
                        "{forwarded}X-Original-URI: /\r\nX-Claimsmith-Secret: a-secret-of-some-length\r\nConnection: close\r\n"
                    );
                    format!("{} {path} HTTP/1.1\r\nHost: x\r\n{metadata}\r\n", other.to_uppercase()).into()
                }
            };
            let answer = send(app.api, &bytes);
            assert_eq!(answer.status, 200, "{method} {path}");
            let documented: &Value = &operation["responses"]["200"];
            assert!(documented.is_object(), "{method} {path}");
        }
    }
}

#[test]
fn encoded_path_reaches_the_profile_that_the_router_finds() {
    let app = spawn_app(&Setup::default());
    for path in ["/p/%2Ewell-known/jwks.json", "/%70/.well-known/jwks%2ejson", "/p/.well-known/openid%2Dconfiguration"]
    {
        assert_eq!(app.get(path).status, 200, "{path}");
    }
}
