//! The API listener over TLS with a real client: server certificates, client certificates, and changes of both.

use std::io::Read as _;
use std::net::SocketAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use reqwest::{Certificate, Client, Identity, StatusCode};
use serde_json::Value;

use crate::support::{Folder, Setup, TestApp, claimsmith, connect, spawn_app, stderr, wait_until};

const SPIFFE_ID: &str = "spiffe://example.org/ns/auth/sa/oathkeeper";
const SESSION: &str = r#"{"subject":"u"}"#;

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(&[(DnType::CommonName, name)]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Issues a certificate for the service.
    fn server(&self) -> Pair {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        self.sign(params)
    }

    /// Issues a certificate for a caller.
    fn client(&self, names: &[(DnType, &str)], alternative: Option<SanType>) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(names);
        params.subject_alt_names.extend(alternative);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }
}

fn named(names: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    names.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

fn spiffe(id: &str) -> Option<SanType> {
    Some(SanType::URI(id.try_into().unwrap()))
}

/// Runs `future` to completion.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Returns a client that trusts `root` and presents the certificate of `pair`. Connections stay open while `wait` runs.
fn client(root: &str, pair: Option<&Pair>) -> Client {
    let mut builder =
        Client::builder().no_proxy().https_only(true).tls_certs_only([Certificate::from_pem(root.as_bytes()).unwrap()]);
    if let Some(pair) = pair {
        let text = format!("{}{}", pair.certificate, pair.key);
        builder = builder.identity(Identity::from_pem(text.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

/// Requests a token of `profile` and returns the response, or `None` if the connection fails.
async fn request_token(
    client: &Client,
    api: SocketAddr,
    profile: &str,
    authorization: Option<&str>,
) -> Option<(u16, Value)> {
    let mut request = client.post(format!("https://{api}/issue/{profile}")).body(SESSION);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = request.send().await.ok()?;
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    let status = response.status().as_u16();
    Some((status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()))
}

/// Returns the status of one request on a new connection.
fn status(root: &str, pair: Option<&Pair>, app: &TestApp, authorization: Option<&str>) -> Option<u16> {
    wait(async { request_token(&client(root, pair), app.api, "p", authorization).await }).map(|(status, _)| status)
}

fn spawn(server: &Pair, client_ca: &str, tls: &str, config: &str) -> TestApp {
    let config = format!(
        "serve: {{ api: {{ tls: {{ cert_file: tls.crt, key_file: tls.key{tls} }} }} }}\n\
         reload: {{ interval: 100ms }}\n{config}"
    );
    spawn_app(&Setup {
        template: "{}",
        profile: "  q: { issuer: 'https://q.example/', jwks: keys.json, template: p }",
        config: &config,
        files: &[
            ("tls.crt", &server.certificate),
            ("tls.key", &server.key),
            ("ca.crt", client_ca),
            ("token", "a-token-of-some-length"),
        ],
        ..Setup::default()
    })
}

/// Writes the certificate and the key of a service in PEM.
pub(crate) fn server_pair() -> (String, String) {
    let pair = Authority::new("root").server();
    (pair.certificate, pair.key)
}

/// Returns `true` if a client that trusts any certificate gets a token over TLS.
pub(crate) fn is_served(api: SocketAddr) -> bool {
    let client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    wait(async { request_token(&client, api, "p", None).await }).is_some_and(|(status, _)| status == 200)
}

fn metric(app: &TestApp, line: &str) -> bool {
    app.get_admin("/metrics").text().lines().any(|found| found == line)
}

#[test]
fn api_is_served_over_tls() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let app = spawn(&authority.server(), "", "", "");
    assert_eq!(status(&authority.pem(), None, &app, None), Some(200));
    assert_eq!(status(&stranger.pem(), None, &app, None), None);
    let url = format!("https://{}/p/.well-known/openid-configuration", app.api);
    let document = wait(async { client(&authority.pem(), None).get(url).send().await.unwrap().bytes().await.unwrap() });
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["jwks_uri"], format!("https://{}/p/.well-known/jwks.json", app.api));
    assert_eq!(app.get_admin("/health/ready").status, 200);
}

#[test]
fn new_certificate_is_loaded_and_open_connections_continue() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let app = spawn(&before.server(), "", "", "");
    wait(async {
        let client_before = client(&before.pem(), None);
        assert_eq!(request_token(&client_before, app.api, "p", None).await.unwrap().0, 200);
        let pair = after.server();
        app.folder.write("tls.crt", &pair.certificate);
        app.folder.write("tls.key", &pair.key);
        // Open new connections until the new root is trusted.
        while request_token(&client(&after.pem(), None), app.api, "p", None).await.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(request_token(&client(&before.pem(), None), app.api, "p", None).await.is_none());
        assert_eq!(
            request_token(&client_before, app.api, "p", None).await.unwrap().0,
            200,
            "the open connection goes on"
        );
    });
}

#[test]
fn invalid_certificate_is_rejected_and_reported_by_readiness() {
    let authority = Authority::new("root");
    let pair = authority.server();
    let app = spawn(&pair, "", "", "");
    app.folder.write("tls.key", &authority.server().key);
    wait_until(|| metric(&app, "claimsmith_reload_refused 1"));
    let ready = app.get_admin("/health/ready").text();
    assert!(
        ready.contains("tls.key: expected the private key of the certificate, found the key of another certificate"),
        "{ready}"
    );
    assert_eq!(status(&authority.pem(), None, &app, None), Some(200));
    app.folder.write("tls.crt", "no certificate");
    wait_until(|| metric(&app, r#"claimsmith_reloads_total{result="refused"} 2"#));
    assert_eq!(status(&authority.pem(), None, &app, None), Some(200));
    app.folder.write("tls.crt", &pair.certificate);
    app.folder.write("tls.key", "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\ncanary");
    wait_until(|| app.get_admin("/health/ready").text().contains("that TLS does not support"));
    let ready = app.get_admin("/health/ready").text();
    assert!(!ready.contains("canary") && !ready.contains("Y2FuYXJ5"), "{ready}");
    app.folder.write("tls.key", &pair.key);
    wait_until(|| metric(&app, "claimsmith_reload_refused 0"));
}

#[test]
fn callers_authenticate_by_certificate_names() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let app = spawn(
        &authority.server(),
        &authority.pem(),
        ", client_ca_file: ca.crt, client_auth: optional",
        &format!(
            "callers:
  - {{ name: by-uri, tls: {{ spiffe: '{SPIFFE_ID}' }}, profiles: [q] }}
  - {{ name: by-subject, tls: {{ subject: 'CN=batch,O=Example' }} }}
  - {{ name: by-dns, tls: {{ dns: gateway.example.org }} }}
  - {{ name: by-token, bearer: {{ token_file: token }} }}"
        ),
    );
    let root = authority.pem();
    let subject = [(DnType::OrganizationName, "Example"), (DnType::CommonName, "batch")];
    let dns = |name: &str| Some(SanType::DnsName(name.try_into().unwrap()));
    let (by_uri, by_subject) = (authority.client(&[], spiffe(SPIFFE_ID)), authority.client(&subject, None));
    assert_eq!(status(&root, Some(&by_subject), &app, None), Some(200));
    assert_eq!(status(&root, Some(&authority.client(&[], dns("gateway.example.org"))), &app, None), Some(200));
    let (allowed, forbidden) = wait(async {
        let client = client(&root, Some(&by_uri));
        (
            request_token(&client, app.api, "q", None).await.unwrap(),
            request_token(&client, app.api, "p", None).await.unwrap(),
        )
    });
    assert_eq!((allowed.0, forbidden.0, &forbidden.1["type"]), (200, 403, &Value::from("caller.forbidden")));
    assert!(metric(&app, r#"claimsmith_caller_requests_total{caller="by-uri",result="issued"} 1"#));

    let user = Some("Bearer the-end-users-own-token");
    assert_eq!(status(&root, Some(&by_subject), &app, user), Some(200), "the header may be the end user's");
    let token = Some("Bearer a-token-of-some-length");
    assert_eq!(status(&root, None, &app, token), Some(200));
    assert_eq!(status(&root, None, &app, None), Some(401));
    for other in [
        authority.client(&subject[..1], None),
        authority.client(&[(DnType::CommonName, "batch,O=Example")], None),
        authority.client(&[], spiffe("spiffe://example.org/ns/auth/sa/another")),
        authority.client(&[], dns("example.org")),
    ] {
        assert_eq!(status(&root, Some(&other), &app, None), Some(401));
        assert_eq!(status(&root, Some(&other), &app, token), Some(200));
    }
    let forged = stranger.client(&subject, None);
    assert_eq!(status(&root, Some(&forged), &app, None), None, "no connection with a certificate of another root");
    let server = authority.server();
    assert_eq!(status(&root, Some(&server), &app, None), Some(401));
}

#[test]
fn missing_client_certificate_is_rejected_when_required() {
    let (authority, next) = (Authority::new("root"), Authority::new("next"));
    let app = spawn(&authority.server(), &authority.pem(), ", client_ca_file: ca.crt", "");
    let root = authority.pem();
    let known = authority.client(&[(DnType::CommonName, "a")], None);
    let later = next.client(&[(DnType::CommonName, "a")], None);
    assert_eq!(status(&root, Some(&known), &app, None), Some(200));
    assert_eq!(status(&root, None, &app, None), None);
    assert_eq!(status(&root, Some(&later), &app, None), None);
    app.folder.write("ca.crt", &next.pem());
    wait_until(|| status(&root, Some(&later), &app, None) == Some(200));
    assert_eq!(status(&root, Some(&known), &app, None), None);
}

#[test]
fn replaced_client_ca_is_not_trusted_on_open_connections() {
    let (authority, next) = (Authority::new("root"), Authority::new("next"));
    for (tls, config) in [
        (", client_ca_file: ca.crt, client_auth: optional", "callers: [{ name: a, tls: { subject: CN=a } }]"),
        (", client_ca_file: ca.crt", ""),
    ] {
        let app = spawn(&authority.server(), &authority.pem(), tls, config);
        wait(async {
            let client = client(&authority.pem(), Some(&authority.client(&[(DnType::CommonName, "a")], None)));
            assert_eq!(request_token(&client, app.api, "p", None).await.unwrap().0, 200);
            app.folder.write("ca.crt", &next.pem());
            loop {
                match request_token(&client, app.api, "p", None).await.expect("the connection stays open").0 {
                    401 => break,
                    status => assert_eq!(status, 200),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
    }
}

#[test]
fn expired_client_certificate_is_rejected_on_an_open_connection() {
    let authority = Authority::new("root");
    let app = spawn(
        &authority.server(),
        &authority.pem(),
        ", client_ca_file: ca.crt, client_auth: optional",
        "callers: [{ name: a, tls: { subject: CN=a } }]",
    );
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = named(&[(DnType::CommonName, "a")]);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let pair = authority.sign(params);
    wait(async {
        let client = client(&authority.pem(), Some(&pair));
        assert_eq!(request_token(&client, app.api, "p", None).await.unwrap().0, 200);
        app.clock.set(1_798_761_601);
        assert_eq!(request_token(&client, app.api, "p", None).await.unwrap().0, 401);
    });
    assert_eq!(status(&authority.pem(), Some(&pair), &app, None), None, "nor is there another connection");
}

#[test]
fn invalid_tls_files_are_named_at_startup_and_by_check() {
    let folder = Folder::new();
    folder.write_key("keys.json", claimsmith::keys::SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{}");
    folder.write("tls.crt", &Authority::new("root").server().certificate);
    folder.write(
        "claimsmith.yaml",
        "serve: { api: { port: 0, tls: { cert_file: tls.crt, key_file: tls.key } }, admin: { port: 0 } }\n\
         profiles: { p: { issuer: i, jwks: keys.json } }\n",
    );
    let served = claimsmith(folder.path(), &["serve"]);
    assert_eq!(served.status.code(), Some(78));
    assert!(stderr(&served).contains("tls.key: expected a readable private key, found:"), "{}", stderr(&served));
    folder.write("tls.key", "not a key");
    let checked = claimsmith(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(stderr(&checked).contains("tls.key: expected a private key in PEM, found none"), "{}", stderr(&checked));
}

#[test]
fn missing_handshake_times_out() {
    let app = spawn(&Authority::new("root").server(), "", "", "limits: { request: 1s }");
    let mut silent = connect(app.api);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    wait_until(|| metric(&app, r#"claimsmith_connections_cut_total{reason="handshake"} 1"#));
    assert!(metric(&app, "claimsmith_connections_unused_total 1"));
}

#[test]
fn plain_http_request_gets_no_response() {
    let authority = Authority::new("root");
    let app = spawn(&authority.server(), "", "", "");
    let plain = Client::builder().no_proxy().build().unwrap();
    let found = wait(async { plain.get(format!("http://{}/openapi.json", app.api)).send().await });
    assert!(found.is_err() || found.is_ok_and(|answer| answer.status() == StatusCode::BAD_REQUEST));
    assert_eq!(status(&authority.pem(), None, &app, None), Some(200));
}
