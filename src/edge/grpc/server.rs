//! One HTTP/2 connection of the gRPC listener, and its calls.

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::http::{HeaderMap, Method, header, request};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use uuid::Uuid;

use super::check::{self, Described};
use super::health;
use super::message::{MEDIA_TYPE, Reply, Status, failure, not_grpc, read, timeout};
use super::proto::{CheckRequest, HealthCheckRequest};
use crate::code::ErrorCode;
use crate::edge::http::exchange::is_standard;
use crate::edge::http::problem::{is_closing, status_and_title};
use crate::edge::http::{Connection, Edge};
use crate::service::{
    Authenticated, Completion, Credentials, Denied, Exchange, Issuer, Peer, Refusal, RequestId, SECRET_HEADER,
    ServedGeneration,
};
use crate::telemetry::{CloseReason, Metrics, RequestSpan, RouteMetrics, SpanParent};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Calls on one connection at once. Envoy opens another connection for more, which another worker can accept.
const MOST_STREAMS: u32 = 256;

/// The bytes of a health check, which anyone can send. The longest name of a service has much less.
const MOST_HEALTH: usize = 1024;

/// The bytes that a client can send ahead of what was read, on a stream and on its connection. They are kept in memory, also
/// those of strangers.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// The time between pings on a connection, and the time for their answers.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The time beyond `limits.request` that calls have on a connection that must end.
const GRACE: Duration = Duration::from_secs(1);

/// Serves the connections of the gRPC listener.
pub(crate) struct GrpcServer {
    edge: Data<Edge>,
    /// The check of requests whose route names none.
    default_check: Option<String>,
    routes: [RouteMetrics; 3],
}

/// A method of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Check,
    Health,
    Unknown,
}

/// What is answered to a call, and what is recorded beside it.
struct Answer {
    response: Response<Reply>,
    /// The HTTP status that describes the result, which is that of the response of Envoy.
    status: u16,
    result: Result<Option<Completion>, Refusal>,
}

/// A call as its method gets it.
struct Call<'c> {
    head: &'c request::Parts,
    /// Whether the request is one of gRPC.
    is_grpc: bool,
    peer: Option<IpAddr>,
    streams: &'c Streams,
    generation: &'c ServedGeneration,
    request_id: &'c Cell<RequestId>,
    /// The name of the check, for the record.
    asked: &'c Cell<String>,
    span: Option<SpanParent>,
}

impl GrpcServer {
    /// Returns a server that uses `default_check` for routes without a check.
    pub(crate) fn new(edge: Data<Edge>, default_check: Option<String>, metrics: &Metrics) -> Self {
        let routes = [
            metrics.route(CHECK, &CHECK[1..], true),
            metrics.route(HEALTH, &HEALTH[1..], false),
            metrics.route("none", "none", false),
        ];
        Self { edge, default_check, routes }
    }

    /// Serves `connection` from `peer` on `io`, until the client closes it, `stopping` completes, it reaches its age, a
    /// refusal ends it, or it must make room for another. Calls in flight are finished, but not without a limit.
    pub(crate) async fn serve<IO>(
        self: &Arc<Self>,
        io: IO,
        connection: Connection,
        peer: Option<IpAddr>,
        stopping: impl Future<Output = ()>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let limits = self.edge.issuer.current().limits;
        let connection = Rc::new(connection);
        let streams = Rc::new(Streams {
            connection: Rc::clone(&connection),
            count: Cell::new(0),
            ending: Notify::new(),
            throttled: OnceCell::new(),
        });
        let service = service_fn(|request: Request<Incoming>| {
            let (server, streams) = (Arc::clone(self), Rc::clone(&streams));
            async move { Ok::<_, Infallible>(server.answer(request, &streams, peer).await) }
        });
        let most_streams = u32::try_from(limits.in_flight).unwrap_or(u32::MAX).min(MOST_STREAMS);
        let header = u32::try_from(limits.header).unwrap_or(u32::MAX);
        let serving = Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(most_streams)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(header)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(io), service);
        let mut serving = pin!(serving);
        let age = connection.entered().most_age().map(with_jitter);
        let aged = async {
            match age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        // A client that opened a connection has a call to make.
        let unused = async {
            tokio::time::sleep(limits.request).await;
            if connection.is_used() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = serving.as_mut() => return,
            () = stopping => {}
            () = aged => {}
            () = streams.ending.notified() => {}
            // It has no call in progress.
            () = connection.evicted() => return connection.entered().count_closed(CloseReason::Evicted),
            () = unused => return connection.entered().count_closed(CloseReason::Request),
        }
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            _ = serving => {}
            () = connection.evicted() => connection.entered().count_closed(CloseReason::Evicted),
            // The client no longer matters if it does not end the connection.
            () = tokio::time::sleep(limits.request.saturating_add(GRACE)) => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>, streams: &Streams, peer: Option<IpAddr>) -> Response<Reply> {
        let start = Instant::now();
        let _stream = streams.begin();
        let (head, body) = request.into_parts();
        let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_grpc = head.method == Method::POST && media_type.is_some_and(|text| text.starts_with(MEDIA_TYPE));
        let route = match head.uri.path() {
            CHECK if is_grpc => Route::Check,
            HEALTH if is_grpc => Route::Health,
            _ => Route::Unknown,
        };
        let issuer = &self.edge.issuer;
        let span = match route {
            Route::Check => issuer.recorder().start_span(traceparent(&head.headers)),
            Route::Health | Route::Unknown => None,
        };
        let generation = issuer.current();
        let (request_id, asked) = (Cell::new(RequestId::new(Uuid::new_v4())), Cell::new(String::new()));
        let limit = generation.limits.request.min(timeout(&head.headers).unwrap_or(Duration::MAX));
        let answered = {
            let call = Call {
                head: &head,
                is_grpc,
                peer,
                streams,
                generation: &generation,
                request_id: &request_id,
                asked: &asked,
                span: span.as_ref().map(RequestSpan::parent),
            };
            let answering = AssertUnwindSafe(self.call(route, &call, body)).catch_unwind();
            match tokio::time::timeout(limit, answering).await {
                Ok(Ok(answered)) => answered,
                // A panic in one call must not end the connection and the other calls on it.
                Ok(Err(_)) => Err(Refusal::internal()),
                Err(_) => Err(Refusal::new(
                    ErrorCode::RequestTimeout,
                    "expected the call to end within limits.request and its own deadline, found that it takes longer",
                )),
            }
        };
        let Answer { response, status, result } = answered.unwrap_or_else(|refusal| {
            let status = status_and_title(refusal.code).0.as_u16();
            let response = match is_grpc {
                true => failure(Status::of(refusal.code), &refusal.detail),
                false => not_grpc(status),
            };
            Answer { response, status, result: Err(refusal) }
        });
        if result.as_ref().err().is_some_and(|refusal| is_closing(refusal.code)) {
            streams.ending.notify_one();
        }
        let asked = asked.into_inner();
        let profile = generation.checks.get(&asked).map_or("", |check| &check.profile);
        let profile = generation.mint.profile(profile);
        let exchange = Exchange {
            request_id: request_id.get(),
            route: &self.routes[route as usize],
            method: if is_standard(head.method.as_str()) { head.method.as_str() } else { "_OTHER" },
            status,
            elapsed: start.elapsed(),
            at: issuer.now(),
            peer,
            asked: Some(&asked).filter(|asked| !asked.is_empty()).map(String::as_str),
            profile: profile.map(|profile| profile.spec().name.as_str()),
            result: result.as_ref().map(Option::as_ref),
        };
        issuer.recorder().finish(&exchange, span);
        response
    }

    async fn call(&self, route: Route, call: &Call<'_>, body: Incoming) -> Result<Answer, Refusal> {
        if let Some(refusal) = call.streams.connection.excess() {
            return Err(refusal);
        }
        match route {
            Route::Check => self.check(call, body).await,
            Route::Health => {
                let request: HealthCheckRequest = read(body, MOST_HEALTH.min(call.generation.limits.body)).await?;
                let response = health::check(&request, &self.edge.readiness)?;
                Ok(Answer { response, status: 200, result: Ok(None) })
            }
            Route::Unknown if !call.is_grpc => {
                let detail = format!("expected POST with {MEDIA_TYPE}, found another method or media type");
                Err(Refusal::new(ErrorCode::RequestMediaType, detail))
            }
            Route::Unknown => {
                let detail = format!("expected {CHECK} or {HEALTH}, found another method");
                Err(Refusal::new(ErrorCode::RequestPath, detail))
            }
        }
    }

    async fn check(&self, call: &Call<'_>, body: Incoming) -> Result<Answer, Refusal> {
        let (issuer, generation) = (&self.edge.issuer, call.generation);
        let secrets = call.head.headers.get_all(SECRET_HEADER).iter().map(|value| value.as_bytes()).collect();
        let transport = call.streams.connection.transport(generation, issuer);
        let peer = Peer { address: call.peer, transport, credentials: Credentials::OfClient, secrets };
        // A decoded message can be many times as large as its bytes, so nothing of a stranger is read.
        let authenticated = match call.streams.authenticate(issuer, generation, &peer).await {
            Ok(authenticated) => authenticated,
            Err(refusal) => return Ok(call.denied(refusal.into())),
        };
        let request: CheckRequest = read(body, generation.limits.body).await.map_err(authenticated.refuser())?;
        let described = Described::new(&request);
        let name = described.check(self.default_check.as_deref());
        call.asked.set(name.to_owned());
        if let Some(request_id) = described.request_id() {
            call.request_id.set(request_id);
        }
        match issuer.check(authenticated, described.request(name), call.span.as_ref()).await {
            Ok(allowed) => Ok(Answer {
                response: check::passed(&allowed),
                status: 200,
                result: Ok(Some(Completion::Issued(allowed.outcome))),
            }),
            Err(denied) => Ok(call.denied(denied)),
        }
    }
}

impl Call<'_> {
    fn denied(&self, denied: Denied) -> Answer {
        let (response, status) = check::denied(&denied, self.request_id.get());
        Answer { response, status, result: Err(denied.refusal) }
    }
}

/// The calls in progress on a connection.
struct Streams {
    connection: Rc<Connection>,
    count: Cell<usize>,
    /// Notified when the connection must end.
    ending: Notify,
    /// The refusal of a stranger's guess, after which no other is examined on this connection.
    throttled: OnceCell<Refusal>,
}

/// A call in progress, counted until it is dropped.
struct Stream<'s>(&'s Streams);

impl Streams {
    fn begin(&self) -> Stream<'_> {
        if self.count.replace(self.count.get() + 1) == 0 {
            self.connection.begin_streams();
        }
        Stream(self)
    }

    /// Authenticates `peer`. A client can open streams until it confirms that the connection ends, so that a stranger's
    /// streams after a throttled one are refused without a look at their secret.
    async fn authenticate<'g>(
        &self,
        issuer: &Issuer,
        generation: &'g ServedGeneration,
        peer: &Peer<'_>,
    ) -> Result<Authenticated<'g>, Refusal> {
        let is_stranger = !self.connection.is_known();
        if let Some(refusal) = self.throttled.get().filter(|_| is_stranger) {
            return Err(refusal.clone());
        }
        let authenticated = issuer.authenticate(generation, peer).await;
        match &authenticated {
            Ok(_) => self.connection.set_known(),
            Err(refusal) if refusal.code == ErrorCode::CallerSlowed => {
                let _ = self.throttled.set(refusal.clone());
            }
            Err(_) => {}
        }
        authenticated
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let left = self.0.count.get() - 1;
        self.0.count.set(left);
        if left == 0 {
            self.0.connection.end_streams();
        }
    }
}

/// Runs the tasks of a connection on the thread that accepted it.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        drop(actix_web::rt::spawn(future));
    }
}

/// Returns `age` with a random change of up to a tenth, so that connections that began together do not end together.
fn with_jitter(age: Duration) -> Duration {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    jittered(age, (random >> 32) as u32)
}

fn jittered(age: Duration, random: u32) -> Duration {
    age.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// Returns the `traceparent` of a call, if there is one.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent").iter();
    let first = values.next().and_then(|value| value.to_str().ok());
    first.filter(|_| values.next().is_none())
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer").field("default_check", &self.default_check).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_of_connections_differs_by_up_to_a_tenth() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0).as_secs(), 3240);
        assert_eq!(jittered(hour, u32::MAX).as_secs(), 3960);
        let middle = jittered(hour, u32::MAX / 2).as_secs();
        assert!((3599..=3600).contains(&middle), "{middle}");
    }
}
