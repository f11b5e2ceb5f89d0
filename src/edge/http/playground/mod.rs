//! The playground on the admin listener: a page that tries a claims template on a session, live.
//!
//! The adapter of [`Mint::try_out`](crate::mint::Mint::try_out), which signs nothing. [`origin`] rejects pages of other
//! sites. A trial has the limits of a token request. One trial runs at a time, on its own thread.

mod origin;
mod request;
mod response;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Semaphore, oneshot};
use tracing::warn;
use uuid::Uuid;

use super::routes::{Methods, method_not_allowed, not_found};
use super::{Edge, body, problem};
use crate::claims::JwtId;
use crate::code::ErrorCode;
use crate::config::Host;
use crate::mint::try_conversion;
use crate::service::{Refusal, RequestId, ServedGeneration};
use request::{ConversionRequest, ResolveRequest, TrialRequest};

/// The shared state of the playground.
pub(crate) struct Playground {
    /// The configured host of the admin listener.
    host: Host,
    /// Whether it can resolve sessions through session sources.
    has_sources: bool,
    /// Limits the bodies in memory.
    bodies: Semaphore,
    /// Limits trials to one at a time, so that the playground never uses more than one core.
    trials: Arc<Semaphore>,
}

/// The maximum number of bodies in memory.
const BODIES: usize = 4;
/// The bytes of a trial's body besides the session. Quotes of the session are escaped in the body.
const BESIDE_THE_SESSION: usize = 256 * 1024;

/// Bytes of a trial's stack; only used pages take memory. Operators write the templates of files, but these come from
/// any client, and a stack overflow would end the process.
const STACK: usize = 64 << 20;

impl Playground {
    /// Returns the playground of an admin listener that is configured with `host`.
    pub(crate) fn new(host: Host, has_sources: bool) -> Self {
        Self { host, has_sources, bodies: Semaphore::new(BODIES), trials: Arc::new(Semaphore::new(1)) }
    }
}

impl fmt::Debug for Playground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playground").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A path of the playground.
struct Route {
    path: &'static str,
    methods: Methods,
    endpoint: fn(Call) -> LocalBoxFuture<'static, Result<HttpResponse, Refusal>>,
}

/// The input of an endpoint.
struct Call {
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
}

static ROUTES: [Route; 7] = [
    Route {
        path: "",
        methods: Methods::Read,
        endpoint: |_| file("text/html; charset=utf-8", include_str!("page.html")),
    },
    Route {
        path: "/app.js",
        methods: Methods::Read,
        endpoint: |_| file("text/javascript; charset=utf-8", include_str!("app.js")),
    },
    Route {
        path: "/style.css",
        methods: Methods::Read,
        endpoint: |_| file("text/css; charset=utf-8", include_str!("style.css")),
    },
    Route { path: "/profiles", methods: Methods::Read, endpoint: |call| Box::pin(profiles(call)) },
    Route { path: "/evaluate", methods: Methods::Post, endpoint: |call| Box::pin(evaluate(call)) },
    Route { path: "/resolve", methods: Methods::Post, endpoint: |call| Box::pin(resolve(call)) },
    Route { path: "/convert", methods: Methods::Post, endpoint: |call| Box::pin(convert(call)) },
];

static UNKNOWN: Route = Route { path: "", methods: Methods::Any, endpoint: |_| Box::pin(async { Err(not_found()) }) };

/// Adds the playground to the admin listener.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut scope = web::scope("/playground");
    for route in &ROUTES {
        scope = scope
            .service(web::resource(route.path).to(move |request, edge, payload| serve(route, request, edge, payload)));
    }
    config.service(scope.default_service(web::to(|request, edge, payload| serve(&UNKNOWN, request, edge, payload))));
}

/// Answers a request on `route`.
async fn serve(route: &'static Route, request: HttpRequest, edge: Data<Edge>, payload: Payload) -> HttpResponse {
    let host = edge.playground.as_ref().map(|playground| &playground.host);
    let checked = origin::reject_cross_origin(request.method(), request.path(), request.headers(), host);
    let result = match checked {
        Ok(()) if route.methods.allow(request.method()) => {
            (route.endpoint)(Call { request, payload, edge: edge.clone() }).await
        }
        Ok(()) => Err(method_not_allowed(route.methods)),
        Err(refusal) => Err(refusal),
    };
    let mut response = result.unwrap_or_else(|refusal| {
        let request_id = RequestId::new(Uuid::new_v4());
        let response = problem::response(&refusal, request_id, route.methods);
        let Refusal { code, detail, .. } = &refusal;
        let status = response.status().as_u16();
        warn!(%request_id, route = "/playground", status, %code, %detail, "request refused");
        response
    });
    origin::protect(response.headers_mut());
    response
}

fn file(content_type: &'static str, text: &'static str) -> LocalBoxFuture<'static, Result<HttpResponse, Refusal>> {
    Box::pin(async move { Ok(HttpResponse::Ok().content_type(content_type).body(text)) })
}

/// `GET /playground/profiles`: the profiles, templates and samples that can be selected.
async fn profiles(call: Call) -> Result<HttpResponse, Refusal> {
    let issuer = &call.edge.issuer;
    let has_sources = call.edge.playground.as_ref().is_some_and(|playground| playground.has_sources);
    Ok(json(response::profiles(&issuer.current(), has_sources, issuer.now())))
}

/// `POST /playground/evaluate`: the claims of a template for a session, or the errors in either.
async fn evaluate(call: Call) -> Result<HttpResponse, Refusal> {
    let now = call.edge.issuer.now();
    let trial = move |generation: &ServedGeneration, body: &Bytes, stop: &AtomicBool| {
        let asked = TrialRequest::parse(body, &generation.mint)?;
        let partials = generation.sources.as_deref().map_or(&[][..], |sources| &sources.partials);
        let trial = asked.trial(partials, &generation.limits, stop);
        let at = asked.at.unwrap_or(now);
        let tried = generation.mint.try_out(asked.profile, &trial, at, || JwtId::new(Uuid::new_v4()));
        Ok(response::tried(&tried, &asked.invalid))
    };
    run_apart(call, trial).await
}

/// `POST /playground/resolve`: the session of a credential, if the operator permits it.
async fn resolve(call: Call) -> Result<HttpResponse, Refusal> {
    let Call { request, payload, edge } = call;
    let generation = edge.issuer.current();
    let answer = async {
        let playground = edge.playground.as_ref().filter(|playground| playground.has_sources).ok_or_else(not_found)?;
        origin::demand_json(request.headers())?;
        let _slot = playground.bodies.acquire().await.map_err(|_| Refusal::internal())?;
        let most = generation.limits.header.saturating_mul(2);
        let body = pin!(body::read(request.headers(), payload, most)).await?;
        let asked = ResolveRequest::parse(&body)?;
        let resolution = edge.issuer.resolve_session(&generation, &asked.source, &asked.credentials()).await?;
        Ok(response::resolved(&resolution))
    };
    let deadline = generation.limits.request;
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| Err(late(deadline))).map(json)
}

/// `POST /playground/convert`: a Go template converted to Handlebars, or the reasons why it cannot be converted.
async fn convert(call: Call) -> Result<HttpResponse, Refusal> {
    let trial = |_: &ServedGeneration, body: &Bytes, _: &AtomicBool| {
        let asked = ConversionRequest::parse(body)?;
        Ok(response::converted(try_conversion(&asked.template)))
    };
    run_apart(call, trial).await
}

/// Stops a trial when it is dropped: at the deadline, when the client disconnects, and when the trial has ended.
#[derive(Default)]
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the body and responds with the result of `trial`, which runs on its own thread, within the deadline of a
/// request.
async fn run_apart(
    call: Call,
    trial: impl FnOnce(&ServedGeneration, &Bytes, &AtomicBool) -> Result<String, Refusal> + Send + 'static,
) -> Result<HttpResponse, Refusal> {
    let Call { request, payload, edge } = call;
    let generation = edge.issuer.current();
    let deadline = generation.limits.request;
    let answer = async {
        let playground = edge.playground.as_ref().ok_or_else(Refusal::internal)?;
        origin::demand_json(request.headers())?;
        let _slot = playground.bodies.acquire().await.map_err(|_| Refusal::internal())?;
        let most = generation.limits.body.saturating_mul(2).saturating_add(BESIDE_THE_SESSION);
        let body = pin!(body::read(request.headers(), payload, most)).await?;
        let permit = Arc::clone(&playground.trials).acquire_owned().await.map_err(|_| Refusal::internal())?;
        let (done, answer) = oneshot::channel();
        let unwanted = Unwanted::default();
        let stop = Arc::clone(&unwanted.0);
        let work = move || {
            // Held until the trial ends, soon after the client has disconnected.
            let _permit = permit;
            let _ = done.send(trial(&generation, &body, &stop));
        };
        let thread = std::thread::Builder::new().name("playground".to_owned()).stack_size(STACK);
        thread.spawn(work).map_err(|_| Refusal::internal())?;
        // If the trial panics, its thread ends without sending anything.
        let answered = answer.await;
        drop(unwanted);
        answered.map_err(|_| Refusal::internal())?
    };
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| Err(late(deadline))).map(json)
}

fn late(deadline: Duration) -> Refusal {
    let detail = format!("expected the body and its trial to take at most {deadline:?} (limits.request)");
    Refusal::new(ErrorCode::RequestTimeout, detail)
}

fn json(text: String) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(text)
}
