//! Protects the playground from pages of other sites, regardless of the name under which they reach this host.
//!
//! Browsers send `Origin` and `Sec-Fetch-Site` truthfully. A page whose own name resolves to this host (DNS rebinding)
//! has the same origin for a browser, but sends that name in `Host`. Clients that are not browsers are not rejected.

use std::net::IpAddr;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::code::ErrorCode;
use crate::config::Host;
use crate::service::Refusal;

/// Allows only scripts, styles and requests of this listener. Forbids frames around the page, and HTML from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// Adds the headers that every response of the playground has.
pub(super) fn protect(headers: &mut HeaderMap) {
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
}

/// Requires a media type that a page of another site can send only after a preflight request.
///
/// # Errors
/// `request.media_type`
pub(super) fn demand_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::RequestMediaType, "expected a body of the type application/json, found another"))
}

/// Rejects a request of a page of another site.
///
/// # Errors
/// `request.origin`
pub(super) fn reject_cross_origin(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    configured: Option<&Host>,
) -> Result<(), Refusal> {
    let reject = |detail: &str| Err(Refusal::new(ErrorCode::RequestOrigin, detail));
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name);
        let first = values.next().map(|value| value.to_str().unwrap_or("not readable"));
        // Several values are ambiguous, so none is accepted.
        if values.next().is_some() { Some("several") } else { first }
    };
    let host = only(header::HOST).unwrap_or_default();
    if !is_known(host, configured) {
        return reject(
            "expected the Host header to be an IP address, localhost or the host of serve.admin, found another name, \
             which someone else can resolve to this host",
        );
    }
    let origin = only(header::ORIGIN).map(|origin| origin.split_once("://").map(|(_, authority)| authority));
    if origin.is_some_and(|authority| authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host))) {
        return reject("expected a request of the playground's own page, found an Origin of another site");
    }
    // A link from another site to the page is permitted, because the page itself changes nothing.
    let is_visit = path == "/playground"
        && (*method == Method::GET || *method == Method::HEAD)
        && only(HeaderName::from_static("sec-fetch-mode")) == Some("navigate")
        && only(HeaderName::from_static("sec-fetch-dest")) == Some("document");
    match only(HeaderName::from_static("sec-fetch-site")) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_visit => Ok(()),
        Some(_) => reject("expected a request of the playground's own page, found one of another site"),
    }
}

/// Returns `true` if `host`, a `Host` header, is a name that no other party can resolve to this host.
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
        reject_cross_origin(&method, path, &map, configured.as_ref()).err().map(|refusal| refusal.code)
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
