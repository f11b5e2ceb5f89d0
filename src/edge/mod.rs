//! The wire. Adapters translate between HTTP and [`Mint::issue`](crate::mint::Mint::issue) and decide nothing.
//!
//! The whole API on one screen is [`api_routes`]; the admin listener is [`admin_routes`], with [`playground_routes`] where
//! that is asked for. Every answer of the API leaves through [`observe`], which names the request, bounds it in time and header size, counts it, and logs a refusal once.

mod admin;
mod admission;
mod attempts;
mod body;
mod caller;
mod concerns;
mod connection;
mod discovery;
mod hydrate;
mod openapi;
mod playground;
mod problem;
mod readings;
mod signing;
mod stream;
mod told;

pub use admission::Admission;
pub use caller::Callers;
pub use concerns::{Concern, Concerns};
pub use connection::{Connection, Gate, answer};
pub use openapi::document as openapi_document;
pub use playground::Playground;
pub use signing::SigningPool;
pub use stream::Stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Route, Scope, guard, web};
use arc_swap::ArcSwap;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::claims::RegisteredClaim;
use crate::code::ErrorCode;
use crate::json::ReadLimits;
use crate::mint::{Mint, TemplateSources, TokenCache};
use crate::telemetry::{Answered, Audit, HYDRATE_ROUTE, ISSUE_ROUTE, Metrics, RequestSpan, TokenFacts, Traces};
use crate::time::Clock;
use crate::tls::ClientAuthority;
use connection::Answering;
use problem::Problem;

/// What requests are answered from. It is swapped as a whole, so that a request that took it once sees one generation to
/// its end.
#[derive(Debug)]
pub struct Serving {
    /// The keys, templates and profiles.
    pub mint: Arc<Mint>,
    /// What its templates were made of, where there is a playground.
    pub sources: Option<Arc<TemplateSources>>,
    /// Who may ask for tokens.
    pub callers: Callers,
    /// Who vouches for the certificates of callers.
    pub client_authority: Option<Arc<ClientAuthority>>,
    /// What a request may cost.
    pub limits: EdgeLimits,
    /// Where verifiers find the api listener, without a slash at its end; `None` where that cannot be known.
    pub public_url: Option<String>,
    /// Seconds for which verifiers may keep a key set.
    pub jwks_max_age: u64,
}

/// What every request of one running service shares.
#[derive(Debug)]
pub struct Edge {
    /// What requests are answered from now.
    pub live: ArcSwap<Serving>,
    /// Tokens that may be given out again.
    pub tokens: TokenCache,
    /// Where drafts are signed.
    pub signing: SigningPool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where each issued token is told, if anywhere.
    pub audit: Option<Audit>,
    /// Where the spans of requests go, if anywhere.
    pub traces: Option<Traces>,
    /// The room that requests and connections take.
    pub admission: Admission,
    /// Whether requests are welcome.
    pub readiness: Readiness,
    /// What is wrong although requests are answered.
    pub concerns: Concerns,
    /// What the playground shares, where there is one.
    pub playground: Option<Playground>,
    /// The profiles whose templates were seen to set registered claims.
    pub overridden: Mutex<BTreeSet<String>>,
}

impl Edge {
    /// Begins the span of a request with these headers, where it is recorded.
    fn span(&self, headers: &HeaderMap) -> Option<RequestSpan> {
        let traces = self.traces.as_ref()?;
        let mut values = headers.get_all("traceparent");
        let first = values.next().and_then(|value| value.to_str().ok());
        // With several, none of them can be right (W3C Trace Context, section 4.3).
        traces.request(first.filter(|_| values.next().is_none()))
    }

    /// Says once for each profile that its template set claims that are claimsmith's own.
    pub(crate) fn warn_of_overridden(&self, profile: &str, claims: &[RegisteredClaim]) {
        if claims.is_empty() {
            return;
        }
        let is_new = match self.overridden.lock() {
            Ok(mut known) => !known.contains(profile) && known.insert(profile.to_owned()),
            Err(_) => false,
        };
        if is_new {
            let claims: Vec<_> = claims.iter().map(|claim| claim.name()).collect();
            warn!(profile, claims = claims.join(" "), "the template sets registered claims, which are overridden");
        }
    }
}

/// What a request may cost before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Bytes of body.
    pub body: usize,
    /// Arrays and objects inside each other.
    pub depth: usize,
    /// Bytes of request headers.
    pub header: usize,
    /// From the request head to the answer.
    pub request: Duration,
    /// Requests for tokens that are worked on at once.
    pub in_flight: usize,
    /// Wrong attempts of one address a minute before it is slowed.
    pub failed_attempts: u32,
    /// How long the answer to a wrong attempt then waits.
    pub failed_delay: Duration,
}

impl EdgeLimits {
    fn read_limits(&self) -> ReadLimits {
        ReadLimits { depth: self.depth }
    }
}

/// Whether requests are welcome: first not yet, then yes, at the end no more. Never back.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

/// A stage of [`Readiness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Listeners are not open yet.
    Starting,
    /// Requests are welcome.
    Ready,
    /// The service was told to stop and finishes what it has.
    Stopping,
}

impl Readiness {
    /// The stage now.
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Stopping,
        }
    }

    /// Goes on to `stage`; never back to an earlier one.
    pub fn advance(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// The api listener.
pub fn api_routes(config: &mut web::ServiceConfig) {
    config
        .service(tokens("/hydrate", web::to(hydrate::hydrate)))
        .service(tokens("/issue", web::to(hydrate::issue)))
        .service(
            web::resource("/.well-known/jwks.json")
                .route(reading().to(discovery::jwks))
                .default_service(only_reading()),
        )
        .service(
            web::resource("/.well-known/openid-configuration")
                .route(reading().to(discovery::configuration))
                .default_service(only_reading()),
        )
        .service(
            web::resource("/{profile}/.well-known/jwks.json")
                .route(reading().to(discovery::profile_jwks))
                .default_service(only_reading()),
        )
        .service(
            web::resource("/{profile}/.well-known/openid-configuration")
                .route(reading().to(discovery::profile_configuration))
                .default_service(only_reading()),
        )
        .service(web::resource("/openapi.json").route(reading().to(openapi::serve)).default_service(only_reading()))
        .default_service(web::to(nothing_here));
}

/// The admin listener.
pub fn admin_routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/health/alive").route(reading().to(admin::alive)).default_service(only_reading()))
        .service(web::resource("/health/ready").route(reading().to(admin::ready)).default_service(only_reading()))
        .service(web::resource("/version").route(reading().to(admin::version)).default_service(only_reading()))
        .service(web::resource("/metrics").route(reading().to(admin::metrics)).default_service(only_reading()))
        .default_service(web::to(nothing_here));
}

/// What the admin listener has besides where there is a playground.
pub fn playground_routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/playground")
            .wrap(from_fn(playground::receive))
            .service(web::resource("").route(reading().to(playground::page)).default_service(only_reading()))
            .service(web::resource("/app.js").route(reading().to(playground::script)).default_service(only_reading()))
            .service(web::resource("/style.css").route(reading().to(playground::style)).default_service(only_reading()))
            .service(
                web::resource("/profiles").route(reading().to(playground::profiles)).default_service(only_reading()),
            )
            .service(
                web::resource("/evaluate").route(web::post().to(playground::evaluate)).default_service(only("POST")),
            )
            .service(web::resource("/convert").route(web::post().to(playground::convert)).default_service(only("POST")))
            .default_service(web::to(nothing_here)),
    );
}

/// `POST {prefix}/{profile}`. A scope, because the router matches what stands in braces by a regular expression, which
/// would be a part of what a token from the cache costs.
fn tokens(prefix: &str, any_method: Route) -> Scope {
    let names_profile = guard::fn_guard(|context| asked_profile(context.head().uri.path()).is_some());
    web::scope(prefix).guard(names_profile).default_service(any_method)
}

/// What stands behind `/hydrate/` or `/issue/`, where that is all there is.
fn asked_profile(path: &str) -> Option<&str> {
    let name = path.strip_prefix(HYDRATE).or_else(|| path.strip_prefix(ISSUE))?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

const HYDRATE: &str = "/hydrate/";
const ISSUE: &str = "/issue/";

fn reading() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn only(methods: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move { refuse(&request, other_method(methods)) })
}

fn other_method(methods: &'static str) -> Problem {
    let detail = format!("expected {methods}, found another method");
    Problem { allow: Some(methods), ..Problem::new(ErrorCode::RequestMethod, detail) }
}

fn only_reading() -> Route {
    only("GET, HEAD")
}

async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let detail = "expected one of the paths in /openapi.json on the api listener, or of the health, version and \
                  metrics paths on the admin listener";
    refuse(&request, Problem::new(ErrorCode::RequestPath, detail))
}

/// The name of one request, in its answer's `instance` and its log lines. Our own, because a caller's would be
/// whatever the end user sent.
#[derive(Clone, Copy)]
struct RequestId(Uuid);

impl RequestId {
    fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<RequestId>().copied().unwrap_or(Self(Uuid::nil()))
    }
}

/// What was refused, left in the answer for [`observe`] to count and log.
#[derive(Clone)]
struct Refused(Problem);

fn refuse(request: &HttpRequest, problem: Problem) -> HttpResponse {
    let mut response = problem.to_response(&RequestId::of(request).to_string());
    response.extensions_mut().insert(Refused(problem));
    response
}

/// Wraps every request of the api listener.
///
/// # Errors
/// Only those of `next` that are no answers; refusals are answers.
pub async fn observe(
    edge: web::Data<Edge>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let start = Instant::now();
    let id = RequestId(Uuid::new_v4());
    request.extensions_mut().insert(id);
    let headers = request.headers();
    let span = edge.span(headers);
    let wants_upgrade = headers.contains_key(header::UPGRADE);
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    let most = edge.live.load().limits.header;
    let answering = Answering::begin(request.request());
    let mut response = if let Some(problem) = answering.refuse_excess() {
        let refusal = refuse(request.request(), problem);
        request.into_response(refusal)
    } else if header_bytes > most {
        let detail = format!("expected at most {most} bytes of request headers, found more");
        let refusal = refuse(request.request(), Problem::new(ErrorCode::RequestHeadersTooLarge, detail));
        request.into_response(refusal)
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    // The connection cannot go on: its bytes behind the body were left unread (see body.rs).
    if wants_upgrade {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }

    let route = route_label(response.request().path());
    let status = response.status().as_u16();
    edge.metrics.request(route, status, start.elapsed().as_secs_f64());
    match response.response().extensions().get::<Refused>() {
        Some(Refused(problem)) => {
            edge.metrics.failure(problem.code);
            warn!(request_id = %id, route, status, code = %problem.code, detail = %problem.detail, "request refused");
        }
        None => debug!(request_id = %id, route, status, "request answered"),
    }
    if let Some(span) = span {
        end_span(span, &edge, &response, id, route);
    }
    Ok(response)
}

fn end_span(
    span: RequestSpan,
    edge: &Edge,
    response: &ServiceResponse<BoxBody>,
    request_id: RequestId,
    route: &'static str,
) {
    let request = response.request();
    let serving = edge.live.load();
    let profile = match route {
        HYDRATE_ROUTE | ISSUE_ROUTE => asked_profile(request.path()),
        _ => request.match_info().get("profile"),
    };
    let profile = profile.filter(|name| serving.mint.profile(name).is_some());
    let extensions = response.response().extensions();
    span.end(&Answered {
        request_id: &request_id.to_string(),
        method: if is_known_method(request.method()) { request.method().as_str() } else { "_OTHER" },
        route,
        status: response.status().as_u16(),
        profile,
        refused: extensions.get::<Refused>().map(|Refused(problem)| problem.code),
        token: extensions.get::<TokenFacts>(),
    });
}

/// Whether a method is of the closed set that OpenTelemetry's conventions have; callers can make up others.
fn is_known_method(method: &Method) -> bool {
    [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ]
    .contains(method)
}

/// The route as a label from a closed set; what a caller made up is one label.
fn route_label(path: &str) -> &'static str {
    const KEYS: &str = "/.well-known/jwks.json";
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let of_profile = |suffix: &str| {
        let name = path.strip_prefix('/').and_then(|path| path.strip_suffix(suffix));
        name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    };
    match path {
        KEYS => KEYS,
        DISCOVERY => DISCOVERY,
        "/openapi.json" => "/openapi.json",
        _ if asked_profile(path).is_some() && path.starts_with(HYDRATE) => HYDRATE_ROUTE,
        _ if asked_profile(path).is_some() => ISSUE_ROUTE,
        _ if of_profile(KEYS) => "/{profile}/.well-known/jwks.json",
        _ if of_profile(DISCOVERY) => "/{profile}/.well-known/openid-configuration",
        _ => "none",
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_labels_of_their_routes() {
        for (path, label) in [
            ("/hydrate/p", "/hydrate/{profile}"),
            ("/issue/p", "/issue/{profile}"),
            ("/hydrate/p/", "none"),
            ("/hydrate/", "none"),
            ("/hydrate", "none"),
            ("/hydrated/p", "none"),
            ("/.well-known/jwks.json", "/.well-known/jwks.json"),
            ("/p/.well-known/jwks.json", "/{profile}/.well-known/jwks.json"),
            ("/p/q/.well-known/jwks.json", "none"),
            ("//.well-known/jwks.json", "none"),
            ("/p/.well-known/openid-configuration", "/{profile}/.well-known/openid-configuration"),
            ("/openapi.json", "/openapi.json"),
            ("/", "none"),
        ] {
            assert_eq!(route_label(path), label, "{path}");
        }
    }

    #[test]
    fn readiness_never_goes_back() {
        let readiness = Readiness::default();
        assert_eq!(readiness.stage(), Stage::Starting);
        readiness.advance(Stage::Stopping);
        readiness.advance(Stage::Ready);
        assert_eq!(readiness.stage(), Stage::Stopping);
    }
}
