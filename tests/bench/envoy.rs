//! Checks of Envoy: the same request over HTTP and over gRPC, with a cached token and a session that needs no call, so that
//! the protocols are all that differs.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use claimsmith::keys::SignatureAlg;
use hyper::Request as HttpRequest;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use prost::encoding::bytes;
use tokio::task::{LocalSet, spawn_local};

use crate::load::{Load, Pace, Reuse};
use crate::report::{Bar, Limit, Rounds};
use crate::requests::{Kind, Request};
use crate::servers::{Abilities, Folder, Process, ProfileText, Settings, start, write_keys};
use crate::{Effort, say};

/// Connections with one request each, and the same number of streams on fewer connections.
const CONNECTIONS: usize = 16;
const CHANNELS: usize = 2;
const STREAMS: usize = CONNECTIONS / CHANNELS;

const SECRET: &str = "a-secret-of-this-benchmark";
const PATH: &str = "/orders/17?page=2&sort=date";
const HEADERS: [(&str, &str); 8] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    (
        "cookie",
        "theme=dark; ory_kratos_session=MTc2NzE5MzYwMHxEWDhFQVFMX2dBQUJFQUVRQUFCSF80QUFBUVp6ZEhKcGJtY01Ed0FO; consent=all",
    ),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("x-forwarded-for", "198.51.100.24"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "28f36572-f3b0-480f-8807-40ad25b32669"),
    ("sec-fetch-mode", "navigate"),
];

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    let folder = Folder::new("envoy");
    write_keys(&folder, &[("ES256", SignatureAlg::Es256, None)]);
    folder.write("secret", SECRET);
    let profiles =
        [ProfileText { name: "p".to_owned(), keys: "ES256".to_owned(), template: "session", is_cached: true }];
    let lines = "sources: { nobody: { type: anonymous } }\n\
                 checks: { web: { sources: [nobody], profile: p, headers: { X-User-Id: sub } } }\n\
                 callers: [{ name: envoy, header: { secret_file: secret } }]\n";
    let settings = Settings {
        lines: lines.to_owned(),
        of_profiles: ", missing: omit".to_owned(),
        serve: ", grpc: { port: 0, check: web }".to_owned(),
    };
    let product = start(&folder, &profiles, abilities, &settings);
    let mut head =
        format!("GET /ext-authz/web{PATH} HTTP/1.1\r\nHost: app.example\r\nx-claimsmith-secret: {SECRET}\r\n");
    for (name, value) in HEADERS {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let kinds = [Kind::only(Request::of(format!("{head}Content-Length: 0\r\n\r\n")))];
    let http = |length: Duration| {
        let load = Load { kinds: &kinds, connections: CONNECTIONS, pace: Pace::Closed, length, reuse: Reuse::Kept };
        let outcome = load.run(&product);
        assert_eq!(outcome.complaints(), [""; 0]);
        (outcome.server_micros(), outcome.per_second())
    };
    let address = product.grpc.expect("the product has a gRPC listener");
    let grpc = |length: Duration| {
        let (done, server, seconds) = checks(&product, address, length);
        (server.as_secs_f64() * 1e6 / done.max(1) as f64, done as f64 / seconds)
    };
    http(effort.round / 4);
    grpc(effort.round / 4);
    let mut rounds: [Rounds; 5] = Default::default();
    for round in 0..effort.rounds {
        say(&format!("envoy: round {} of {}", round + 1, effort.rounds));
        let ((http_cpu, http_rate), (grpc_cpu, grpc_rate)) = (http(effort.round), grpc(effort.round));
        for (all, figure) in rounds.iter_mut().zip([http_cpu, grpc_cpu, grpc_cpu / http_cpu, http_rate, grpc_rate]) {
            all.0.push(figure);
        }
    }
    let [http_cpu, grpc_cpu, ratio, http_rate, grpc_rate] = rounds;
    println!("\n## Checks of Envoy, cached ES256 token, {CONNECTIONS} at once\n");
    println!("| Protocol | CPU of the server, µs | a second |\n| --- | --- | --- |");
    println!("| HTTP | {} | {} |", http_cpu.text(1), http_rate.text(0));
    println!("| gRPC | {} | {} |", grpc_cpu.text(1), grpc_rate.text(0));
    println!("| ratio | {} | |", ratio.text(2));
    bars.push(Bar {
        case: "checks of Envoy".to_owned(),
        asks: "CPU over gRPC, as a multiple of HTTP, at most 1.5".to_owned(),
        limit: Limit::AtMost(1.5),
        measured: ratio,
        void: None,
    });
}

/// Keeps every stream busy. Returns the number of checks that passed, the CPU time of the server, and the seconds.
fn checks(product: &Process, address: SocketAddr, length: Duration) -> (u64, Duration, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (body, done) = (Bytes::from(framed(&check_request())), Rc::new(Cell::new(0)));
    let (before, started) = (product.cpu(), Instant::now());
    let deadline = started + length;
    runtime.block_on(LocalSet::new().run_until(async {
        let mut streams = Vec::new();
        for _ in 0..CHANNELS {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(Spawn, TokioIo::new(stream)).await.unwrap();
            spawn_local(async move { drop(connection.await) });
            for _ in 0..STREAMS {
                let (sender, body, done) = (sender.clone(), body.clone(), Rc::clone(&done));
                streams.push(spawn_local(async move {
                    while Instant::now() < deadline {
                        check(sender.clone(), body.clone()).await;
                        done.set(done.get() + 1);
                    }
                }));
            }
        }
        for stream in streams {
            stream.await.unwrap();
        }
    }));
    let seconds = started.elapsed().as_secs_f64();
    (done.get(), product.cpu().since(&before), seconds)
}

async fn check(mut sender: SendRequest<Payload>, body: Bytes) {
    let request = HttpRequest::post("http://claimsmith/envoy.service.auth.v3.Authorization/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-claimsmith-secret", SECRET)
        .body(Payload(Some(body)))
        .unwrap();
    sender.ready().await.unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    let (mut length, mut is_ok) = (0, false);
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await {
        match frame.unwrap().into_data() {
            Ok(data) => length += data.len(),
            Err(frame) => is_ok = frame.into_trailers().is_ok_and(|trailers| trailers["grpc-status"] == "0"),
        }
    }
    // A response with a token is longer than a denial.
    assert!(is_ok && length > 400, "{length} bytes");
}

fn check_request() -> Vec<u8> {
    let entry = |name: &str, value: &str| [text(1, name), text(2, value)].concat();
    let mut http = [text(1, "1234567"), text(2, "GET")].concat();
    for (name, value) in HEADERS.into_iter().chain([(":path", PATH), (":method", "GET"), (":authority", "app.example")])
    {
        http.extend(message(3, &entry(name, value)));
    }
    http.extend([text(4, PATH), text(5, "app.example"), text(6, "https"), text(10, "HTTP/2")].concat());
    message(1, &message(4, &message(2, &http)))
}

fn text(number: u32, value: &str) -> Vec<u8> {
    message(number, value.as_bytes())
}

fn message(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes::encode(number, &value.to_vec(), &mut out);
    out
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

struct Payload(Option<Bytes>);

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output = ()> + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
