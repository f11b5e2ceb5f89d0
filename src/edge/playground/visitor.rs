//! Who may come to the playground: no page of another site, whatever name it gives this machine. And what every answer
//! tells the browser to refuse.
//!
//! Browsers send `Origin` and `Sec-Fetch-Site` truthfully; a page that had its own name point here (DNS rebinding) is of
//! the same origin for them, but shows that name in `Host`. Programs that are no browsers are not kept out by this.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use tracing::warn;
use uuid::Uuid;

use super::super::problem::Problem;
use super::super::{Edge, Refused, RequestId, refuse};
use crate::code::ErrorCode;
use crate::config::Host;

/// Scripts and styles of this listener alone, requests to it alone, no frame around it, and no HTML out of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// Wraps every path of the playground.
///
/// # Errors
/// Only those of `next` that are no answers; refusals are answers.
pub(crate) async fn receive(
    edge: web::Data<Edge>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = RequestId(Uuid::new_v4());
    request.extensions_mut().insert(id);
    let host = edge.playground.as_ref().map(|playground| &playground.host);
    let mut response = match refuse_strangers(request.method(), request.path(), request.headers(), host) {
        Some(problem) => {
            let refusal = refuse(request.request(), problem);
            request.into_response(refusal)
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if let Some(Refused(problem)) = response.response().extensions().get::<Refused>() {
        let status = response.status().as_u16();
        warn!(request_id = %id, route = "/playground", status, code = %problem.code, detail = %problem.detail,
            "request refused");
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A body that another site's page can send only after asking whether it may.
///
/// # Errors
/// `request.media_type`
pub(super) fn demand_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::RequestMediaType, "expected a body of the type application/json, found another"))
}

fn refuse_strangers(method: &Method, path: &str, headers: &HeaderMap, configured: Option<&Host>) -> Option<Problem> {
    let stranger = |detail: &str| Some(Problem::new(ErrorCode::RequestOrigin, detail));
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name);
        let first = values.next().map(|value| value.to_str().unwrap_or("not readable"));
        // With several, none of them can be right.
        if values.next().is_some() { Some("several") } else { first }
    };
    let host = only(header::HOST).unwrap_or_default();
    if !is_known(host, configured) {
        return stranger(
            "expected the Host header to be an IP address, localhost or the host of serve.admin, found another: a name \
             that somebody else may have pointed here",
        );
    }
    let origin = only(header::ORIGIN).map(|origin| origin.split_once("://").map(|(_, authority)| authority));
    if origin.is_some_and(|authority| authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host))) {
        return stranger("expected a request of the playground's own page, found an Origin of another site");
    }
    // A link from elsewhere may lead to the page, which does nothing by itself.
    let is_visit = path == "/playground"
        && (*method == Method::GET || *method == Method::HEAD)
        && only(HeaderName::from_static("sec-fetch-mode")) == Some("navigate")
        && only(HeaderName::from_static("sec-fetch-dest")) == Some("document");
    match only(HeaderName::from_static("sec-fetch-site")) {
        None | Some("same-origin" | "none") => None,
        Some(_) if is_visit => None,
        Some(_) => stranger("expected a request of the playground's own page, found one of another site"),
    }
}

/// Whether `host`, a `Host` header, is a name that nobody else can point to this machine.
fn is_known(host: &str, configured: Option<&Host>) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.contains(':') => (address, port),
        _ => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    let is_name = name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || configured.is_some_and(|host| host.text().eq_ignore_ascii_case(name));
    is_port && is_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(path: &str, headers: &[(&'static str, &'static str)]) -> Option<ErrorCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let method = if path.ends_with("evaluate") { Method::POST } else { Method::GET };
        let configured = Host::parse("Admin.internal");
        refuse_strangers(&method, path, &map, configured.as_ref()).map(|problem| problem.code)
    }

    #[test]
    fn only_hosts_that_nobody_else_can_name_are_known() {
        for host in ["127.0.0.1:4478", "127.0.0.1", "10.1.2.3:80", "[::1]:4478", "[::1]", "localhost:1", "LOCALHOST"] {
            assert_eq!(code_of("/playground", &[("host", host)]), None, "{host}");
        }
        assert_eq!(code_of("/playground", &[("host", "admin.internal:4478")]), None);
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "127.0.0.1:x",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "[evil.example]",
            "127.0.0.1:80@evil.example",
            "",
            "0x7f000001",
        ] {
            assert_eq!(code_of("/playground", &[("host", host)]), Some(ErrorCode::RequestOrigin), "{host}");
        }
        assert_eq!(code_of("/playground", &[]), Some(ErrorCode::RequestOrigin));
        let twice = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
        assert_eq!(code_of("/playground", &twice), Some(ErrorCode::RequestOrigin));
    }

    #[test]
    fn only_the_own_page_may_ask() {
        let evaluate = |headers: &[(&'static str, &'static str)]| {
            code_of("/playground/evaluate", &[&[("host", "127.0.0.1:4478")], headers].concat())
        };
        assert_eq!(evaluate(&[]), None);
        assert_eq!(evaluate(&[("origin", "http://127.0.0.1:4478"), ("sec-fetch-site", "same-origin")]), None);
        for stranger in [
            ("origin", "http://evil.example"),
            ("origin", "http://127.0.0.1:4477"),
            ("origin", "http://localhost:4478"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(evaluate(&[stranger]), Some(ErrorCode::RequestOrigin), "{stranger:?}");
        }
    }

    #[test]
    fn a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else() {
        let link = [
            ("host", "127.0.0.1:4478"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(code_of("/playground", &link), None);
        assert_eq!(code_of("/playground/profiles", &link), Some(ErrorCode::RequestOrigin));
        let frame = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
        assert_eq!(code_of("/playground", &frame), Some(ErrorCode::RequestOrigin));
    }
}
