//! The routes of the API: one table from which the router, metric labels, span names and the OpenAPI document are derived.

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, guard};
use futures_util::future::LocalBoxFuture;

use super::exchange::{Answer, Call, serve};
use super::{Edge, auth_request, forward_auth, hydrate, issue, jwks, openapi, openid_configuration};
use crate::code::ErrorCode;
use crate::service::Refusal;
use crate::telemetry::{Metrics, RouteMetrics};

/// A route of the API.
pub(super) struct Route {
    /// The path, with `{profile}` or `{check}` in the place of a name. It is the metric label, too.
    pub(super) path: &'static str,
    pub(super) methods: Methods,
    /// The name of its spans.
    pub(super) span: &'static str,
    /// The error codes that it can answer with, besides [`EVERY_ROUTE`].
    codes: &'static [&'static [ErrorCode]],
    endpoint: Endpoint,
}

/// The methods of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    /// `GET` and `HEAD`.
    Read,
    /// `POST`; the route issues tokens.
    Post,
    /// All methods: a proxy sends that of its client, or one of its own. The route issues tokens.
    Proxied,
    /// All methods: the route exists only to be refused.
    Any,
}

type Endpoint = fn(Call) -> LocalBoxFuture<'static, Result<Answer, Refusal>>;

/// The API.
pub(super) static ROUTES: [Route; 9] = [
    Route {
        path: "/hydrate/{profile}",
        methods: Methods::Post,
        span: "hydrate",
        codes: &[BODY, CALLER, PROFILE, SESSION, CLAIMS, SERVICE],
        endpoint: |call| Box::pin(hydrate::hydrate(call)),
    },
    Route {
        path: "/issue/{profile}",
        methods: Methods::Post,
        span: "issue",
        codes: &[BODY, CALLER, PROFILE, SESSION, CLAIMS, SERVICE],
        endpoint: |call| Box::pin(issue::issue(call)),
    },
    Route {
        path: "/forward-auth/{check}",
        methods: Methods::Proxied,
        span: "forward-auth",
        codes: CHECK,
        endpoint: |call| Box::pin(forward_auth::forward_auth(call)),
    },
    Route {
        path: "/auth-request/{check}",
        methods: Methods::Proxied,
        span: "auth-request",
        codes: CHECK,
        endpoint: |call| Box::pin(auth_request::auth_request(call)),
    },
    Route {
        path: "/.well-known/jwks.json",
        methods: Methods::Read,
        span: "/.well-known/jwks.json",
        codes: &[],
        endpoint: |call| Box::pin(jwks::all(call)),
    },
    Route {
        path: "/{profile}/.well-known/jwks.json",
        methods: Methods::Read,
        span: "/{profile}/.well-known/jwks.json",
        codes: &[PROFILE],
        endpoint: |call| Box::pin(jwks::of_profile(call)),
    },
    Route {
        path: "/.well-known/openid-configuration",
        methods: Methods::Read,
        span: "/.well-known/openid-configuration",
        codes: &[&[ErrorCode::RequestPath]],
        endpoint: |call| Box::pin(openid_configuration::all(call)),
    },
    Route {
        path: "/{profile}/.well-known/openid-configuration",
        methods: Methods::Read,
        span: "/{profile}/.well-known/openid-configuration",
        codes: &[PROFILE, &[ErrorCode::RequestPath]],
        endpoint: |call| Box::pin(openid_configuration::of_profile(call)),
    },
    Route {
        path: "/openapi.json",
        methods: Methods::Read,
        span: "/openapi.json",
        codes: &[],
        endpoint: |call| Box::pin(openapi::serve(call)),
    },
];

/// The route of every path that is not in [`ROUTES`]. What clients make up is one label.
static UNKNOWN: Route = Route {
    path: "none",
    methods: Methods::Any,
    span: "none",
    codes: &[],
    endpoint: |_| Box::pin(async { Err(not_found()) }),
};

/// The codes of every route: of its connection and its request head, and of a bug.
const EVERY_ROUTE: &[ErrorCode] = &[
    ErrorCode::CallerConnections,
    ErrorCode::CallerUnauthenticated,
    ErrorCode::Internal,
    ErrorCode::RequestHeadersTooLarge,
    ErrorCode::RequestTimeout,
    ErrorCode::ServiceConnections,
];

const BODY: &[ErrorCode] = &[ErrorCode::RequestBodyIncomplete, ErrorCode::RequestBodyTooLarge];

const CALLER: &[ErrorCode] =
    &[ErrorCode::CallerConcurrency, ErrorCode::CallerForbidden, ErrorCode::CallerRate, ErrorCode::CallerSlowed];

const PROFILE: &[ErrorCode] = &[ErrorCode::ProfileUnknown];

const SESSION: &[ErrorCode] = &[
    ErrorCode::SessionDepth,
    ErrorCode::SessionDuplicateMember,
    ErrorCode::SessionEmptySubject,
    ErrorCode::SessionExpired,
    ErrorCode::SessionExpiry,
    ErrorCode::SessionInactive,
    ErrorCode::SessionInvalid,
    ErrorCode::SessionMalformed,
    ErrorCode::SessionRefused,
];

const CLAIMS: &[ErrorCode] = &[
    ErrorCode::ClaimsDuplicateMember,
    ErrorCode::ClaimsInvalid,
    ErrorCode::ClaimsNotAnObject,
    ErrorCode::ClaimsRegistered,
    ErrorCode::ClaimsSchema,
    ErrorCode::TemplateDuplicateMember,
    ErrorCode::TemplateHelper,
    ErrorCode::TemplateLimit,
    ErrorCode::TemplateMissingValue,
    ErrorCode::TemplatePosition,
    ErrorCode::TemplateRefused,
    ErrorCode::TemplateSyntax,
    ErrorCode::TemplateWrongType,
];

const SERVICE: &[ErrorCode] =
    &[ErrorCode::KeyBusy, ErrorCode::KeySigningFailed, ErrorCode::KeyUnavailable, ErrorCode::ServiceOverloaded];

/// The codes of the endpoints for proxies.
const CHECK: &[&[ErrorCode]] = &[
    CALLER,
    PROFILE,
    SESSION,
    CLAIMS,
    SERVICE,
    &[
        ErrorCode::CallerUntrusted,
        ErrorCode::CheckUnknown,
        ErrorCode::RequestLookalike,
        ErrorCode::RequestMetadata,
        ErrorCode::SessionAge,
        ErrorCode::SessionAmbiguous,
        ErrorCode::SessionLevel,
        ErrorCode::SessionRequired,
        ErrorCode::SourceRateLimited,
        ErrorCode::SourceUnavailable,
    ],
];

impl Route {
    /// Calls the endpoint.
    pub(super) fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refusal>> {
        (self.endpoint)(call)
    }

    /// Returns every error code that the route can answer with.
    pub(super) fn codes(&self) -> impl Iterator<Item = ErrorCode> {
        self.codes.iter().copied().chain([EVERY_ROUTE]).flatten().copied()
    }

    /// Returns the part of `path` that is in the place of the name; `None` if `path` is not one of this route.
    pub(super) fn name_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (before, rest) = self.path.split_once('{')?;
        let (_, after) = rest.split_once('}')?;
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }
}

impl Methods {
    /// Returns `true` if `method` is one of them.
    pub(super) fn allow(self, method: &Method) -> bool {
        match self {
            Methods::Read => *method == Method::GET || *method == Method::HEAD,
            Methods::Post => *method == Method::POST,
            Methods::Any | Methods::Proxied => true,
        }
    }

    /// Returns the value of the `Allow` header; `None` if there is nothing to refuse.
    pub(super) fn names(self) -> Option<&'static str> {
        match self {
            Methods::Read => Some("GET, HEAD"),
            Methods::Post => Some("POST"),
            Methods::Any | Methods::Proxied => None,
        }
    }
}

/// Returns the refusal of a path that does not exist.
pub(super) fn not_found() -> Refusal {
    let detail = "expected a path of the API listener, such as /hydrate/{profile} or /.well-known/jwks.json, found another one; \
                  /openapi.json lists them; /metrics, /version and /health are on the admin listener";
    Refusal::new(ErrorCode::RequestPath, detail)
}

/// Returns the refusal of a method that is not one of `methods`.
pub(super) fn method_not_allowed(methods: Methods) -> Refusal {
    let detail = format!("expected {}, found another method", methods.names().unwrap_or_default());
    Refusal::new(ErrorCode::RequestMethod, detail)
}

/// Returns the metrics of each route, and last those of unknown paths.
pub(crate) fn metrics(metrics: &Metrics) -> Vec<RouteMetrics> {
    let handle = |route: &Route| {
        let issues = matches!(route.methods, Methods::Post | Methods::Proxied);
        metrics.route(route.path, route.span, issues)
    };
    ROUTES.iter().chain([&UNKNOWN]).map(handle).collect()
}

/// Configures the API listener.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    configure_with(config, |route, index| {
        web::to(move |request: HttpRequest, edge: Data<Edge>, payload: Payload| {
            serve(route, index, request, edge, payload)
        })
    });
}

/// Configures a route for each row of the table, which `handler` makes of the row and its index, and one for all other
/// paths.
fn configure_with(config: &mut web::ServiceConfig, handler: impl Fn(&'static Route, usize) -> actix_web::Route) {
    for (index, route) in ROUTES.iter().enumerate() {
        match route.path.strip_suffix("/{profile}").or_else(|| route.path.strip_suffix("/{check}")) {
            // A scope, because actix-web matches a path parameter with a regular expression, which would be a part of
            // the cost of a cached token.
            Some(prefix) => {
                let is_of_route = guard::fn_guard(|context| route.name_in(context.head().uri.path()).is_some());
                config.service(web::scope(prefix).guard(is_of_route).default_service(handler(route, index)))
            }
            None => config.service(web::resource(route.path).route(handler(route, index))),
        };
    }
    config.default_service(handler(&UNKNOWN, ROUTES.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::HttpResponse;
    use actix_web::test::{TestRequest, call_service, init_service};

    use crate::mint::ProfileName;

    #[test]
    fn name_is_found_in_the_paths_of_its_route_only() {
        let profile = |route: usize, path| ROUTES[route].name_in(path);
        assert_eq!(profile(0, "/hydrate/p"), Some("p"));
        for path in ["/hydrate/p/", "/hydrate/", "/hydrate", "/hydrated/p", "/issue/p", "/hydrate//p"] {
            assert_eq!(profile(0, path), None, "{path}");
        }
        assert_eq!(profile(5, "/p/.well-known/jwks.json"), Some("p"));
        for path in ["/p/q/.well-known/jwks.json", "//.well-known/jwks.json", "/.well-known/jwks.json"] {
            assert_eq!(profile(5, path), None, "{path}");
        }
        assert_eq!(profile(4, "/.well-known/jwks.json"), None, "a route without a profile");
    }

    #[test]
    fn first_segment_of_each_path_is_a_reserved_name() {
        for route in &ROUTES {
            let first = route.path.split('/').nth(1).unwrap();
            assert!(first == "{profile}" || ProfileName::is_reserved(first), "{}", route.path);
        }
    }

    #[test]
    fn codes_of_a_route_occur_once() {
        for route in &ROUTES {
            let codes: Vec<_> = route.codes().collect();
            for (index, code) in codes.iter().enumerate() {
                assert!(!codes[..index].contains(code), "{}: {code}", route.path);
            }
        }
    }

    /// The router and the table must agree: a request has the label of the route whose endpoint answers it.
    #[actix_web::test]
    async fn router_finds_the_route_of_each_path() {
        let configure = |config: &mut web::ServiceConfig| {
            configure_with(config, |_, index| {
                web::to(move || async move { HttpResponse::Ok().body(index.to_string()) })
            });
        };
        let app = init_service(actix_web::App::new().configure(configure)).await;
        for (path, expected) in [
            ("/hydrate/p", "0"),
            ("/issue/p", "1"),
            ("/forward-auth/c", "2"),
            ("/auth-request/c", "3"),
            ("/forward-auth/c/d", "9"),
            ("/auth-request/", "9"),
            ("/hydrate/p/", "9"),
            ("/hydrate/", "9"),
            ("/hydrate", "9"),
            ("/hydrated/p", "9"),
            ("/.well-known/jwks.json", "4"),
            ("/p/.well-known/jwks.json", "5"),
            ("/p/q/.well-known/jwks.json", "9"),
            ("//.well-known/jwks.json", "9"),
            ("/.well-known/openid-configuration", "6"),
            ("/p/.well-known/openid-configuration", "7"),
            ("/openapi.json", "8"),
            ("/", "9"),
        ] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
            assert_eq!(body, expected, "{path}");
        }
    }
}
