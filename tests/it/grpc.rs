//! The gRPC listener, with messages as Envoy sends them: checks, health, limits and shutdown. `make proxies` tests it with
//! Envoy itself.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::rt::Executor;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fake_kratos::{Behavior, FakeKratos, identity, response, session};
use crate::support::{NOW, Setup, TestApp, read_response, send, spawn_app, wait_until};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SECRET: (&str, &str) = ("x-claimsmith-secret", "a-secret-of-some-length");
const COOKIE: (&str, &str) = ("cookie", "ory_kratos_session=c00kie");

const OTHER_COOKIE: (&str, &str) = ("cookie", "ory_kratos_session=other");

const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const NOT_FOUND: u16 = 5;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const UNAVAILABLE: u16 = 14;
const APPEND: u64 = 0;
const OVERWRITE: u64 = 2;

/// The bytes of a message, written field by field, so that the tests do not share the definitions of the service.
#[derive(Clone, Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        prost::encoding::bytes::encode(number, &value.to_vec(), &mut self.0);
        self
    }

    fn text(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    fn message(self, number: u32, value: Fields) -> Self {
        self.bytes(number, &value.0)
    }

    fn entries(self, number: u32, entries: &[(&str, &str)]) -> Self {
        entries
            .iter()
            .fold(self, |all, (key, value)| all.message(number, Fields::default().text(1, key).text(2, value)))
    }
}

/// A header: its name, its value and its action.
type HeaderOption = (String, String, u64);

/// A decoded message: each field with its number. Nested messages are bytes.
#[derive(Debug, Default)]
struct Decoded(Vec<(u32, Vec<u8>, u64)>);

impl Decoded {
    fn of(mut bytes: &[u8]) -> Self {
        use prost::encoding::{WireType, decode_key, decode_varint};
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let (number, wire) = decode_key(&mut bytes).unwrap();
            let (value, integer) = match wire {
                WireType::Varint => (Vec::new(), decode_varint(&mut bytes).unwrap()),
                WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut bytes).unwrap()).unwrap();
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    (value.to_vec(), 0)
                }
                WireType::SixtyFourBit => {
                    let (value, rest) = bytes.split_at(8);
                    bytes = rest;
                    (value.to_vec(), 0)
                }
                other => panic!("{other:?}"),
            };
            fields.push((number, value, integer));
        }
        Self(fields)
    }

    fn all(&self, number: u32) -> impl Iterator<Item = Decoded> {
        self.0.iter().filter(move |(other, ..)| *other == number).map(|(_, value, _)| Decoded::of(value))
    }

    fn one(&self, number: u32) -> Decoded {
        self.all(number).next().unwrap_or_default()
    }

    fn has(&self, number: u32) -> bool {
        self.0.iter().any(|(other, ..)| *other == number)
    }

    fn texts(&self, number: u32) -> Vec<String> {
        let values = self.0.iter().filter(|(other, ..)| *other == number);
        values.map(|(_, value, _)| String::from_utf8(value.clone()).unwrap()).collect()
    }

    fn text(&self, number: u32) -> String {
        self.texts(number).pop().unwrap_or_default()
    }

    fn integer(&self, number: u32) -> u64 {
        self.0.iter().find(|(other, ..)| *other == number).map_or(0, |(.., integer)| *integer)
    }

    /// Returns each header of a list of header options, with its action.
    fn headers(&self, number: u32) -> Vec<HeaderOption> {
        let header = |option: Decoded| {
            assert!(!option.has(2), "`append` would win over `append_action`");
            (option.one(1).text(1), option.one(1).text(2), option.integer(3))
        };
        self.all(number).map(header).collect()
    }
}

/// A request as Envoy describes it.
#[derive(Clone, Default)]
struct Original<'r> {
    /// The headers as a map.
    headers: &'r [(&'r str, &'r str)],
    /// The headers as a list with raw values.
    raw: &'r [(&'r str, &'r str)],
    extensions: &'r [(&'r str, &'r str)],
    /// Metadata of filters.
    metadata: Option<Fields>,
    method: Option<&'r str>,
}

impl Original<'_> {
    fn message(&self) -> Vec<u8> {
        let mut http = Fields::default().text(2, self.method.unwrap_or("GET")).entries(3, self.headers);
        http = http.text(4, "/a?b=c").text(5, "app.example").text(6, "https");
        if !self.raw.is_empty() {
            let list = self.raw.iter().fold(Fields::default(), |list, (name, value)| {
                list.message(1, Fields::default().text(1, name).text(3, value))
            });
            http = http.message(13, list);
        }
        let mut context = Fields::default().message(4, Fields::default().message(2, http)).entries(10, self.extensions);
        if let Some(metadata) = &self.metadata {
            context = context.message(11, metadata.clone());
        }
        Fields::default().message(1, context).0
    }
}

/// The body of a request.
enum Payload {
    Whole(Option<Bytes>),
    /// No byte ever comes.
    Stalled,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Payload::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Payload::Stalled => Poll::Pending,
        }
    }
}

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// The result of a call.
#[derive(Debug)]
struct Reply {
    http: u16,
    status: Option<u16>,
    detail: String,
    message: Vec<u8>,
}

impl Reply {
    fn decoded(&self) -> Decoded {
        assert_eq!((self.http, self.status), (200, Some(OK)), "{}", self.detail);
        Decoded::of(&self.message)
    }

    /// Returns the headers that Envoy sets, those that it removes, and those for the client.
    fn allowed(&self) -> (Vec<HeaderOption>, Vec<String>, Vec<HeaderOption>) {
        let decoded = self.decoded();
        assert_eq!(decoded.one(1).integer(1), 0, "{}", decoded.one(1).text(2));
        let ok = decoded.one(3);
        (ok.headers(2), ok.texts(5), ok.headers(6))
    }

    /// Returns the status for the client, the headers and the body.
    fn denied(&self) -> (u64, Vec<HeaderOption>, String) {
        let decoded = self.decoded();
        assert!(decoded.one(1).integer(1) > 0 && !decoded.has(3), "a denial has a status other than OK");
        let denied = decoded.one(2);
        (denied.one(1).integer(1), denied.headers(2), denied.text(3))
    }

    fn code(&self) -> (u64, String) {
        let (status, _, body) = self.denied();
        (status, serde_json::from_str::<Value>(&body).unwrap()["type"].as_str().unwrap().to_owned())
    }

    fn token(&self) -> String {
        let (headers, ..) = self.allowed();
        let (_, value, action) = headers.into_iter().find(|(name, ..)| name == "authorization").unwrap();
        assert_eq!(action, OVERWRITE);
        value.strip_prefix("Bearer ").unwrap().to_owned()
    }
}

/// An HTTP/2 connection.
struct Channel {
    runtime: Runtime,
    sender: SendRequest<Payload>,
}

async fn connect(address: SocketAddr) -> SendRequest<Payload> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(Spawn, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn post(path: &str, metadata: &[(&str, &str)], body: Vec<u8>) -> Request<Payload> {
    let mut request = Request::post(format!("http://claimsmith{path}")).header("content-type", "application/grpc");
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    request.body(Payload::Whole(Some(body.into()))).unwrap()
}

async fn read(response: Response<Incoming>) -> Reply {
    let http = response.status().as_u16();
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), head.headers);
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap()),
        }
    }
    let text = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let status = text("grpc-status").map(|status| status.parse().unwrap());
    let message = bytes.get(5..).unwrap_or_default().to_vec();
    assert!(bytes.is_empty() || framed(&message) == bytes);
    Reply { http, status, detail: text("grpc-message").unwrap_or_default(), message }
}

impl Channel {
    fn open(app: &TestApp) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(connect(app.grpc.unwrap()));
        Self { runtime, sender }
    }

    fn send(&mut self, request: Request<Payload>) -> Reply {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            sender.ready().await.unwrap();
            read(sender.send_request(request).await.unwrap()).await
        })
    }

    fn check(&mut self, original: &Original<'_>) -> Reply {
        self.send(post(CHECK, &[SECRET], framed(&original.message())))
    }

    fn serves(&mut self, service: &str) -> Reply {
        self.send(post(HEALTH, &[], framed(&Fields::default().text(1, service).0)))
    }
}

/// Starts the service with a check `web`, which is the default, and a check `guest` without a login.
fn app(kratos: &FakeKratos, check: &str, more: &str) -> TestApp {
    let config = format!(
        "serve: {{ grpc: {{ port: 0, check: web }} }}\n\
         callers: [{{ name: envoy, header: {{ secret_file: secret }} }}]\n\
         sources: {{ {}, nobody: {{ type: anonymous, subject: nobody }}, \
         verified: {{ type: envoy_metadata, key: payload, issuer: https://idp.example }} }}\n\
         checks:\n  web: {{ sources: kratos, profile: p, {check} }}\n  guest: {{ sources: nobody, profile: p }}\n  \
         idp: {{ sources: verified, profile: p }}\n{more}",
        kratos.source("")
    );
    let files = &[("secret", "a-secret-of-some-length\n")];
    let template = r#"{"email": {{Extra.identity.traits.email}}, "roles": ["a", 7], "issuer": {{Extra.iss}} }"#;
    spawn_app(&Setup { config: &config, files, template, profile: "    missing: omit", ..Setup::default() })
}

#[test]
fn passing_request_gets_headers_that_overwrite_and_selected_claims_as_metadata() {
    let kratos = FakeKratos::start();
    let check =
        "headers: { X-User-Id: sub, X-None: no.such.claim }, metadata: { user: sub, roles: roles, none: no.such }";
    let app = app(&kratos, check, "");
    let json = "Content-Type: application/json\r\nSet-Cookie: ory_kratos_session=new; HttpOnly\r\n";
    kratos.will_send(response("200 OK", json, &identity("i-1").to_string()));
    let reply = Channel::open(&app).check(&Original { headers: &[COOKIE], ..Original::default() });
    let token = app.verify(&reply.token()).claims().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&token).unwrap()["sub"], "i-1");
    let (headers, removed, to_client) = reply.allowed();
    let names: Vec<_> = headers.iter().map(|(name, value, action)| (name.as_str(), value.len(), *action)).collect();
    assert_eq!(names[1..], [("x-user-id", 3, OVERWRITE)]);
    assert!(headers.len() == 2 && headers[0].2 == OVERWRITE);
    // Envoy drops empty values, so the header of a missing claim is removed.
    assert_eq!(removed, ["x-none"]);
    assert_eq!(to_client, [("set-cookie".to_owned(), "ory_kratos_session=new; HttpOnly".to_owned(), 0)]);
    let metadata = reply.decoded().one(4);
    let fields: Vec<_> = metadata.all(1).map(|field| (field.text(1), field.one(2))).collect();
    assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["user", "roles"]);
    assert_eq!(fields[0].1.text(3), "i-1");
    let roles: Vec<_> = fields[1].1.one(6).all(1).collect();
    assert_eq!(roles[0].text(3), "a");
    assert_eq!(roles[1].0, [(2, 7.0_f64.to_le_bytes().to_vec(), 0)]);
}

#[test]
fn denied_request_carries_status_headers_and_body() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "login: 'https://id.example/login', origins: ['https://app.example']", "");
    let mut channel = Channel::open(&app);
    let reply = channel.check(&Original::default());
    assert_eq!(reply.code(), (401, "session.required".to_owned()));
    let (_, headers, _) = reply.denied();
    let value =
        |name: &str| headers.iter().find(|(other, ..)| other == name).map(|(_, value, action)| (&**value, *action));
    assert_eq!(value("www-authenticate"), Some(("Bearer", OVERWRITE)));
    assert_eq!(value("content-type"), Some(("application/problem+json", OVERWRITE)));
    assert_eq!(value("cache-control"), Some(("no-store", OVERWRITE)));
    let html = &[("accept", "text/html")];
    let (status, headers, body) = channel.check(&Original { raw: html, ..Original::default() }).denied();
    let location = "https://id.example/login?return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc";
    assert_eq!((status, body.as_str()), (302, ""));
    assert!(headers.contains(&("location".to_owned(), location.to_owned(), OVERWRITE)), "{headers:?}");
    let post = Original { headers: html, method: Some("POST"), ..Original::default() };
    assert_eq!(channel.check(&post).denied().0, 401);
}

#[test]
fn repeated_headers_of_a_limit_reach_the_client() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let headers = "RateLimit-Policy: a\r\nRetry-After: 17\r\nRateLimit-Policy: b\r\n";
    kratos.will_send(response("429 Too Many Requests", headers, ""));
    let (status, headers, _) =
        Channel::open(&app).check(&Original { headers: &[COOKIE], ..Original::default() }).denied();
    let found = |name: &str| -> Vec<_> {
        headers.iter().filter(|(other, ..)| other == name).map(|(_, value, action)| (&**value, *action)).collect()
    };
    assert_eq!(status, 429);
    assert_eq!(found("ratelimit-policy"), [("a", OVERWRITE), ("b", APPEND)]);
    assert_eq!(found("retry-after"), [("17", OVERWRITE)]);
}

#[test]
fn map_with_the_same_key_twice_is_refused() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    let refused = (403, "request.metadata".to_owned());
    let extensions = &[("check", "guest"), ("check", "guest")];
    assert_eq!(channel.check(&Original { extensions, ..Original::default() }).code(), refused);
    let extensions = &[("other", "a"), ("check", "guest"), ("other", "b")];
    channel.check(&Original { extensions, ..Original::default() }).token();
    let text = |text: &str| Fields::default().text(3, text);
    let of = |filter: &str| metadata(filter, &[("sub", text("u-1"))]).0;
    for (first, second, expected) in [("a", "a", Some(&refused)), ("a", "b", None)] {
        let metadata = Some(Fields([of(first), of(second)].concat()));
        let reply = channel.check(&Original { extensions: &[("check", "guest")], metadata, ..Original::default() });
        match expected {
            Some(expected) => assert_eq!(reply.code(), *expected),
            None => drop(reply.token()),
        }
    }
}

#[test]
fn client_sends_a_limited_number_of_bytes_ahead() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut stream = crate::support::connect(app.grpc.unwrap());
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    // The windows that RFC 9113 section 6.9.2 begins with.
    let (mut of_stream, mut of_connection, mut is_confirmed) = (65_535, 65_535, false);
    while !is_confirmed || of_connection == 65_535 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; number(&head[..3])];
        stream.read_exact(&mut payload).unwrap();
        match (head[3], head[4]) {
            (4, 0) => payload
                .chunks(6)
                .filter(|setting| number(&setting[..2]) == 4)
                .for_each(|setting| of_stream = number(&setting[2..])),
            (4, _) => is_confirmed = true,
            (8, _) => of_connection += number(&payload),
            _ => {}
        }
    }
    assert_eq!((of_stream, of_connection), (64 * 1024, 128 * 1024));
}

#[test]
fn failure_of_claimsmith_is_a_status_of_grpc() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    kratos.will_send(response("500 Internal Server Error", "", "canary"));
    let original = Original { headers: &[COOKIE], ..Original::default() };
    let reply = channel.check(&original);
    assert_eq!((reply.status, reply.message.len()), (Some(UNAVAILABLE), 0));
    assert!(reply.detail.starts_with("session source kratos:") && !reply.detail.contains("canary"), "{}", reply.detail);
    kratos.will_send(session(&identity("i-1")));
    channel.check(&original).token();
}

#[test]
fn only_trusted_peers_are_answered() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    let original = Original { headers: &[COOKIE, SECRET], ..Original::default() };
    let untrusted = (403, "caller.untrusted".to_owned());
    for metadata in [
        &[][..],
        &[("x-claimsmith-secret", "another-secret-of-it")],
        &[SECRET, SECRET],
        &[("authorization", "Bearer x")],
    ] {
        let reply = channel.send(post(CHECK, metadata, framed(&original.message())));
        assert_eq!(reply.code(), untrusted, "a header of the client is no secret of the peer: {metadata:?}");
    }
    assert_eq!(kratos.calls(), 0);
    channel.check(&original).token();
}

#[test]
fn check_comes_from_the_route_or_is_the_default() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    let with = |extensions| Original { extensions, ..Original::default() };
    assert_eq!(channel.check(&with(&[])).code().1, "session.required");
    channel.check(&with(&[("check", "guest")])).token();
    assert_eq!(channel.check(&with(&[("check", "web")])).code().1, "session.required");
    for unknown in ["unknown", "", "guest/", "p"] {
        let extensions = &[("check", unknown)];
        let reply = channel.check(&Original { extensions, ..Original::default() });
        assert_eq!(reply.code(), (403, "check.unknown".to_owned()), "{unknown}");
    }
}

#[test]
fn credentials_in_both_forms_of_headers_must_agree() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "headers: { X-User-Id: sub }", "");
    let mut channel = Channel::open(&app);
    let mut code = |headers: &'static [(&str, &str)], raw: &'static [(&str, &str)]| {
        channel.check(&Original { headers, raw, ..Original::default() }).code()
    };
    let ambiguous = (403, "session.ambiguous".to_owned());
    assert_eq!(code(&[COOKIE], &[OTHER_COOKIE]), ambiguous);
    assert_eq!(code(&[], &[COOKIE, OTHER_COOKIE]), ambiguous);
    assert_eq!(code(&[("cookie", "ory_kratos_session=c00kie,ory_kratos_session=other")], &[]), ambiguous);
    assert_eq!(code(&[("cookie", "a=1,ory_kratos_session=other; ory_kratos_session=c00kie")], &[]), ambiguous);
    assert_eq!(code(&[], &[("authorization", "Bearer ory_st_a"), ("authorization", "Bearer ory_st_b")]), ambiguous);
    let lookalike = (403, "request.lookalike".to_owned());
    assert_eq!(code(&[COOKIE, ("x_user_id", "1")], &[]), lookalike);
    assert_eq!(code(&[], &[COOKIE, ("x.user.id", "1")]), lookalike);
    assert_eq!(code(&[COOKIE, ("x_user_id", "1")], &[COOKIE]), lookalike);
    assert_eq!(kratos.calls(), 0);
    for original in [
        Original { headers: &[COOKIE], ..Original::default() },
        Original { raw: &[COOKIE], ..Original::default() },
        Original { headers: &[COOKIE], raw: &[COOKIE], ..Original::default() },
        Original { headers: &[("cookie", "a={1,2}; ory_kratos_session=c00kie")], ..Original::default() },
    ] {
        channel.check(&original).token();
    }
}

/// Returns metadata of `filter` with these claims at `payload`.
fn metadata(filter: &str, claims: &[(&str, Fields)]) -> Fields {
    let fields = |entries: &[(&str, Fields)]| {
        entries.iter().fold(Fields::default(), |all, (name, value)| {
            all.message(1, Fields::default().text(1, name).message(2, value.clone()))
        })
    };
    let payload = Fields::default().message(5, fields(claims));
    Fields::default().message(1, Fields::default().text(1, filter).message(2, fields(&[("payload", payload)])))
}

#[test]
fn claims_that_envoy_verified_are_a_session_over_grpc_only() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    let text = |text: &str| Fields::default().text(3, text);
    let number = |number: i64| {
        let mut fields = Fields::default();
        prost::encoding::double::encode(2, &(number as f64), &mut fields.0);
        fields
    };
    let mut ask = |filter: &str, issuer: &str, end: i64| {
        let claims = &[("iss", text(issuer)), ("sub", text("u-1")), ("exp", number(end))];
        let metadata = Some(metadata(filter, claims));
        channel.check(&Original { extensions: &[("check", "idp")], metadata, ..Original::default() })
    };
    let (filter, issuer) = ("envoy.filters.http.jwt_authn", "https://idp.example");
    let token = ask(filter, issuer, NOW + 60).token();
    let claims: Value = serde_json::from_str(app.verify(&token).claims()).unwrap();
    assert_eq!((&claims["sub"], &claims["issuer"]), (&json!("u-1"), &json!(issuer)));
    assert_eq!(claims["exp"].as_i64(), Some(NOW + 60), "the token ends with the session");
    for (filter, issuer, end) in
        [("other", issuer, NOW + 60), (filter, "https://other.example", NOW + 60), (filter, issuer, NOW)]
    {
        assert_eq!(ask(filter, issuer, end).code(), (401, "session.required".to_owned()), "{filter} {issuer} {end}");
    }
    let header = format!("{}: {}", SECRET.0, SECRET.1);
    let payload = "x-jwt-payload: {}\r\nenvoy.filters.http.jwt_authn: {\"payload\":{\"sub\":\"u-1\"}}";
    let text = format!("GET /ext-authz/idp/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n{payload}\r\n\r\n");
    assert_eq!(send(app.api, text.as_bytes()).status, 401);
}

#[test]
fn calls_that_are_not_valid_get_a_status() {
    let kratos = FakeKratos::start();
    let mut app = app(&kratos, "", "limits: { body: 4KiB }");
    let mut channel = Channel::open(&app);
    let valid = Original::default().message();
    let large = Original { headers: &[("x", &"x".repeat(5000))], ..Original::default() }.message();
    let compressed = [&[1][..], &framed(&valid)[1..]].concat();
    let twice = [framed(&valid), framed(&valid)].concat();
    for (path, body, expected) in [
        (CHECK, framed(&large), RESOURCE_EXHAUSTED),
        (CHECK, vec![0, 255, 255, 255, 255], RESOURCE_EXHAUSTED),
        (CHECK, compressed, UNIMPLEMENTED),
        (CHECK, twice, INVALID_ARGUMENT),
        (CHECK, framed(b"\xff\xff\xff"), INVALID_ARGUMENT),
        (CHECK, framed(&valid)[..20].to_vec(), INVALID_ARGUMENT),
        (CHECK, Vec::new(), INVALID_ARGUMENT),
        ("/envoy.service.auth.v3.Authorization/Other", framed(&valid), UNIMPLEMENTED),
        ("/envoy.service.auth.v2.Authorization/Check", framed(&valid), UNIMPLEMENTED),
        ("/grpc.health.v1.Health/Watch", framed(b""), UNIMPLEMENTED),
        ("/hydrate/p", framed(&valid), UNIMPLEMENTED),
    ] {
        let reply = channel.send(post(path, &[SECRET], body));
        assert_eq!((reply.status, reply.message.len()), (Some(expected), 0), "{path} {}", reply.detail);
    }
    // An empty description is a check that is refused.
    assert_eq!(channel.send(post(CHECK, &[SECRET], framed(b""))).code(), (403, "request.metadata".to_owned()));
    for (method, media_type) in [("GET", "application/grpc"), ("POST", "application/json"), ("POST", "")] {
        let request =
            Request::builder().method(method).uri(format!("http://x{CHECK}")).header("content-type", media_type);
        let reply = channel.send(request.body(Payload::Whole(Some(framed(&valid).into()))).unwrap());
        assert_eq!((reply.http, reply.status), (415, None), "{method} {media_type}");
    }
    let line = r#"claimsmith_http_requests_total{route="none",status="415"} 3"#;
    assert!(app.get_admin("/metrics").text().contains(line));
    assert_eq!(app.failures("request.media_type"), 4, "one of a compressed message");
    assert_eq!(channel.serves("").decoded().integer(1), 1, "the connection still works");
    app.begin_stop();
}

/// Returns a call whose message never comes.
fn unfinished(path: &str, metadata: &[(&str, &str)]) -> Request<Payload> {
    post(path, metadata, Vec::new()).map(|_| Payload::Stalled)
}

#[test]
fn message_of_a_stranger_is_not_read() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { request: 1s }");
    let mut channel = Channel::open(&app);
    for metadata in [&[][..], &[("x-claimsmith-secret", "another-secret-of-it")]] {
        let reply = channel.send(unfinished(CHECK, metadata));
        assert_eq!(reply.code(), (403, "caller.untrusted".to_owned()), "refused before its message comes");
    }
    let malformed = post(CHECK, &[], framed(b"\xff\xff\xff"));
    assert_eq!(channel.send(malformed).code(), (403, "caller.untrusted".to_owned()));
    // Anyone can send a health check, which is short.
    let name = "x".repeat(1021);
    assert_eq!(channel.serves(&name).status, Some(NOT_FOUND));
    assert_eq!(channel.serves(&format!("{name}x")).status, Some(RESOURCE_EXHAUSTED));
    let reply = channel.send(unfinished(CHECK, &[SECRET]));
    assert_eq!(reply.status, Some(DEADLINE_EXCEEDED), "the message of a caller is read");
}

#[test]
fn call_ends_at_its_own_deadline() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    kratos.will(Behavior::Silence);
    let original = Original { headers: &[COOKIE], ..Original::default() };
    let start = Instant::now();
    let reply = channel.send(post(CHECK, &[SECRET, ("grpc-timeout", "100m")], framed(&original.message())));
    assert_eq!(reply.status, Some(DEADLINE_EXCEEDED));
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(app.failures("request.timeout"), 1);
}

#[test]
fn health_follows_readiness_and_calls_in_flight_are_finished() {
    let kratos = FakeKratos::start();
    let config = "serve: { grpc: { port: 0, check: web }, shutdown_delay: 1s }";
    let more = format!(
        "{config}\ncallers: [{{ name: envoy, header: {{ secret_file: secret }} }}]\nsources: {{ {} }}\n\
         checks: {{ web: {{ sources: kratos, profile: p }} }}",
        kratos.source("")
    );
    let files = &[("secret", "a-secret-of-some-length\n")];
    let mut app = spawn_app(&Setup { config: &more, files, template: "{}", ..Setup::default() });
    let mut channel = Channel::open(&app);
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        assert_eq!(channel.serves(service).decoded().integer(1), 1);
    }
    assert_eq!(channel.serves("other").status, Some(NOT_FOUND));
    kratos.will(Behavior::Held(session(&identity("i-1"))));
    let mut other = Channel::open(&app);
    let held = std::thread::spawn(move || other.check(&Original { headers: &[COOKIE], ..Original::default() }));
    wait_until(|| kratos.calls() == 1);
    app.begin_stop();
    wait_until(|| channel.serves("").decoded().integer(1) == 2);
    // The listener closes, and with it this connection.
    wait_until_closed(&mut channel);
    kratos.release();
    held.join().unwrap().token();
}

#[test]
fn connection_ends_at_its_age_without_a_lost_call() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { connection_age: 300ms }");
    let mut channel = Channel::open(&app);
    kratos.will(Behavior::Held(session(&identity("i-1"))));
    let Channel { runtime, sender } = &mut channel;
    let original = Original { headers: &[COOKIE], ..Original::default() };
    let call = runtime.block_on(async {
        let call = tokio::spawn(sender.send_request(post(CHECK, &[SECRET], framed(&original.message()))));
        tokio::time::sleep(Duration::from_millis(600)).await;
        let late = sender.send_request(post(HEALTH, &[], framed(b""))).await;
        assert!(late.is_err(), "no new call begins on this connection");
        kratos.release();
        read(call.await.unwrap().unwrap()).await
    });
    call.token();
    kratos.will_send(session(&identity("i-1")));
    Channel::open(&app).check(&original).token();
}

#[test]
fn connection_without_a_call_is_closed() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { request: 200ms }");
    let mut channel = Channel::open(&app);
    let Channel { runtime, sender } = &mut channel;
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(sender.is_closed());
    });
    let line = r#"claimsmith_connections_cut_total{reason="request"} 1"#;
    assert!(app.get_admin("/metrics").text().contains(line));
}

/// Waits until the service ended the connection.
fn wait_until_closed(channel: &mut Channel) {
    let Channel { runtime, sender } = channel;
    wait_until(|| {
        runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            sender.is_closed()
        })
    });
}

#[test]
fn connection_above_a_limit_ends_after_its_refusal() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { connections: 100, connections_per_peer: 1 }");
    let guest = Original { extensions: &[("check", "guest")], ..Original::default() };
    let mut first = Channel::open(&app);
    first.check(&guest).token();
    let mut second = Channel::open(&app);
    let reply = second.check(&guest);
    assert_eq!(reply.status, Some(RESOURCE_EXHAUSTED), "{}", reply.detail);
    assert_eq!(app.failures("caller.connections"), 1);
    wait_until_closed(&mut second);
    let mut third = Channel::open(&app);
    let other = Request::get(format!("http://claimsmith{CHECK}")).body(Payload::Whole(None)).unwrap();
    assert_eq!(third.send(other).http, 429, "whatever its request is");
    wait_until_closed(&mut third);
    first.check(&guest).token();
    drop(first);
    // The next connection of the client is within the limit.
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_connections 0\n"));
    Channel::open(&app).check(&guest).token();
}

#[test]
fn guess_of_the_secret_costs_a_connection_when_guesses_are_throttled() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { failed_attempts: 1, failed_delay: 10ms, request: 20s }");
    let guest = Original { extensions: &[("check", "guest")], ..Original::default() };
    let guess = || post(CHECK, &[("x-claimsmith-secret", "another-secret-of-it")], framed(&guest.message()));
    let mut stranger = Channel::open(&app);
    assert_eq!(stranger.send(guess()).code().1, "caller.untrusted");
    stranger.serves("").decoded();
    assert_eq!(stranger.send(guess()).code(), (403, "caller.slowed".to_owned()));
    wait_until_closed(&mut stranger);
    let mut proxy = Channel::open(&app);
    proxy.check(&guest).token();
}

#[test]
fn stranger_that_ignores_the_end_of_its_connection_has_no_further_guess() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "limits: { failed_attempts: 1, failed_delay: 10ms, request: 20s }");
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // Literal fields without indexing (RFC 7541 section 6.2.2).
    let field = |name: &str, value: &str| {
        [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let call = |stream: u32, secret: &str| {
        let fields = [
            field(":method", "POST"),
            field(":scheme", "http"),
            field(":path", CHECK),
            field(":authority", "x"),
            field("content-type", "application/grpc"),
            field("x-claimsmith-secret", secret),
        ];
        [frame(1, 4, stream, &fields.concat()), frame(0, 1, stream, &framed(b""))].concat()
    };
    let mut stream = crate::support::connect(app.grpc.unwrap());
    let mut bytes = Vec::new();
    let mut read_until = |stream: &mut std::net::TcpStream, text: &str, count: usize| {
        while bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count() < count {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat()).unwrap();
    // The code comes twice in a response, as the status and in the body.
    stream.write_all(&call(1, "another-secret-of-it")).unwrap();
    read_until(&mut stream, "caller.untrusted", 2);
    stream.write_all(&call(3, "another-secret-of-it")).unwrap();
    read_until(&mut stream, "caller.slowed", 2);
    stream.write_all(&call(5, SECRET.1)).unwrap();
    let text = read_until(&mut stream, "caller.slowed", 4);
    assert!(!text.contains("request.metadata"), "the secret was examined: {text}");
}

#[test]
fn idle_strangers_make_room_for_both_listeners() {
    let config = "serve: { workers: 1, grpc: { port: 0, check: guest } }\n\
                  limits: { connections: 64, request: 30s }\n\
                  callers: [{ name: envoy, header: { secret_file: secret } }]\n\
                  sources: { nobody: { type: anonymous } }\n\
                  checks: { guest: { sources: nobody, profile: p } }";
    let files = &[("secret", "a-secret-of-some-length\n")];
    let app = spawn_app(&Setup { config, files, template: "{}", ..Setup::default() });
    let mut strangers: Vec<_> = (0..63).map(|_| Channel::open(&app)).collect();
    for stranger in &mut strangers {
        stranger.serves("").decoded();
    }
    // A new connection has this time for its request.
    std::thread::sleep(Duration::from_millis(150));
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = crate::support::connect(app.api);
        client.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(read_response(&mut client, true).status, 200);
        clients.push(client);
    }
    let line = r#"claimsmith_connections_cut_total{reason="evicted"} 29"#;
    wait_until(|| app.get_admin("/metrics").text().contains(line));
    Channel::open(&app).serves("").decoded();
}

#[test]
fn ten_thousand_streams_on_one_connection_starve_nobody() {
    let kratos = FakeKratos::start();
    kratos.will(Behavior::Held(session(&identity("i-1"))));
    let config = format!(
        "serve: {{ grpc: {{ port: 0, check: web }} }}\nlimits: {{ in_flight: 512, request: 60s }}\n\
         callers: [{{ name: envoy, header: {{ secret_file: secret }} }}]\n\
         sources: {{ {}, nobody: {{ type: anonymous }} }}\n\
         checks: {{ web: {{ sources: kratos, profile: p }}, guest: {{ sources: nobody, profile: p }} }}",
        kratos.source("timeout: 60s")
    );
    let files = &[("secret", "a-secret-of-some-length\n")];
    let app = spawn_app(&Setup { config: &config, files, template: "{}", ..Setup::default() });
    let address = app.grpc.unwrap();
    let slow = framed(&Original { headers: &[COOKIE], ..Original::default() }.message());
    let fast = framed(&Original { extensions: &[("check", "guest")], ..Original::default() }.message());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut single = connect(address).await;
        let mut elapsed = async || {
            let start = Instant::now();
            for _ in 0..20 {
                let reply = read(single.send_request(post(CHECK, &[SECRET], fast.clone())).await.unwrap()).await;
                assert_eq!(reply.decoded().one(1).integer(1), 0, "others have slots of limits.in_flight");
            }
            start.elapsed()
        };
        let before = elapsed().await;
        let mut crowded = connect(address).await;
        let call = |_| tokio::spawn(crowded.send_request(post(CHECK, &[SECRET], slow.clone())));
        let calls: Vec<_> = (0..10_000).map(call).collect();
        while kratos.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let meanwhile = elapsed().await;
        assert!(meanwhile < before * 10 + Duration::from_secs(1), "{before:?}, {meanwhile:?}");
        kratos.release();
        for call in calls {
            assert_eq!(read(call.await.unwrap().unwrap()).await.decoded().one(1).integer(1), 0);
        }
    });
    assert_eq!(app.failures("service.overloaded"), 0);
}

#[test]
fn calls_are_counted_by_method_and_result() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "");
    let mut channel = Channel::open(&app);
    channel.check(&Original { headers: &[COOKIE], ..Original::default() }).token();
    channel.check(&Original::default()).denied();
    channel.serves("").decoded();
    channel.send(post("/x.Y/Z", &[], framed(b"")));
    let metrics = app.get_admin("/metrics").text();
    for line in [
        r#"claimsmith_http_requests_total{route="/envoy.service.auth.v3.Authorization/Check",status="200"} 1"#,
        r#"claimsmith_http_requests_total{route="/envoy.service.auth.v3.Authorization/Check",status="401"} 1"#,
        r#"claimsmith_http_requests_total{route="/grpc.health.v1.Health/Check",status="200"} 1"#,
        r#"claimsmith_http_requests_total{route="none",status="404"} 1"#,
        r#"claimsmith_failures_total{code="session.required",profile="p",caller="envoy"} 1"#,
        r#"claimsmith_caller_requests_total{caller="envoy",result="issued"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
