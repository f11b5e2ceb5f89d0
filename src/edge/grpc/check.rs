//! `envoy.service.auth.v3.Authorization/Check`: from Envoy's description of a request to a check, and from its result to what
//! Envoy does with the request.

use std::collections::HashSet;

use hyper::Response;

use super::message::{Reply, Status, failure, success};
use super::proto::{
    AppendAction, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption,
    HttpRequest, HttpResponse, HttpStatus, OkHttpResponse, RpcStatus,
};
use super::structs;
use crate::checks::OriginalRequest;
use crate::code::ErrorCode;
use crate::edge::http::problem::ProxyResponse;
use crate::edge::proxied::{
    SESSION_TOKEN, accepts_html, is_host, is_method, is_uri, is_usual, metadata_refused, refuse_lookalikes,
};
use crate::service::{Allowed, Denied, ProxiedRequest, Refusal, RequestId};
use crate::sources::RequestCredentials;

/// The key of `context_extensions` with the name of the check.
const CHECK: &str = "check";

/// The headers that hold a credential.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", SESSION_TOKEN];

/// What Envoy describes, with each header as it is read here.
pub(super) struct Described<'r> {
    context: Option<&'r AttributeContext>,
    http: Option<&'r HttpRequest>,
    headers: Headers<'r>,
    /// The JSON texts of metadata, by filter.
    verified: Vec<(String, String)>,
    /// Whether a map from which something is read has the same key twice.
    is_ambiguous: bool,
}

/// The headers of the original request. Envoy sends them in `header_map` with `encode_raw_headers`, and in `headers` without.
struct Headers<'r> {
    /// Each header of `header_map`, or each entry of `headers`.
    all: Vec<(&'r str, &'r [u8])>,
    /// Whether Envoy joined headers of the same name with commas.
    is_joined: bool,
    /// Whether `headers` and `header_map` differ on a credential.
    is_conflicting: bool,
}

impl<'r> Described<'r> {
    pub(super) fn new(request: &'r CheckRequest) -> Self {
        let context = request.attributes.as_ref();
        let http = context.and_then(|context| context.request.as_ref()?.http.as_ref());
        let metadata = context.and_then(|context| context.metadata_context.as_ref());
        let verified = metadata.into_iter().flat_map(|metadata| &metadata.filter_metadata);
        let verified = verified.filter_map(|entry| Some((entry.key.clone(), structs::to_json(entry.value.as_ref()?))));
        let headers = http.map_or_else(Headers::none, Headers::new);
        let extensions = context.into_iter().flat_map(|context| &context.context_extensions);
        let mut filters = HashSet::new();
        let is_ambiguous = extensions.filter(|entry| entry.key == CHECK).nth(1).is_some()
            || metadata
                .into_iter()
                .flat_map(|metadata| &metadata.filter_metadata)
                .any(|entry| !filters.insert(&entry.key));
        Self { context, http, headers, verified: verified.collect(), is_ambiguous }
    }

    /// Returns the name of the check: that of the route, or `default`.
    pub(super) fn check<'n>(&self, default: Option<&'n str>) -> &'n str
    where
        'r: 'n,
    {
        let mut extensions = self.context.into_iter().flat_map(|context| &context.context_extensions);
        let of_route = extensions.find(|entry| entry.key == CHECK);
        of_route.map_or(default.unwrap_or_default(), |entry| entry.value.as_str())
    }

    /// Returns the identifier that Envoy gave the request.
    pub(super) fn request_id(&self) -> Option<RequestId> {
        let mut values = self.headers.values("x-request-id");
        let first = values.next().and_then(RequestId::adopt);
        first.filter(|_| values.next().is_none())
    }

    /// Returns the request for the check `name`.
    pub(super) fn request<'n>(&'n self, name: &'n str) -> ProxiedRequest<'n> {
        let unusual: Vec<&str> =
            self.headers.all.iter().map(|(name, _)| *name).filter(|name| !is_usual(name)).collect();
        let original = refuse_lookalikes(&unusual, &[]).and_then(|()| self.original());
        ProxiedRequest { check: name, original, credentials: self.credentials(), unusual }
    }

    fn original(&self) -> Result<OriginalRequest<'_>, Refusal> {
        let http = self.http.ok_or_else(|| metadata_refused("attributes.request.http", "none"))?;
        if self.is_ambiguous {
            return Err(metadata_refused("each key of context_extensions and filter_metadata once", "one twice"));
        }
        if self.headers.is_conflicting {
            let detail = "expected the same credentials in headers and header_map, found a difference";
            return Err(Refusal::new(ErrorCode::SessionAmbiguous, detail));
        }
        let valid = |is_valid: bool, what: &str| {
            if is_valid { Ok(()) } else { Err(metadata_refused(what, "another value or none")) }
        };
        valid(is_method(&http.method), "a method")?;
        valid(is_host(&http.host), "a host")?;
        valid(is_uri(&http.path), "a path that starts with a slash")?;
        let scheme = http.scheme.as_str();
        valid(matches!(scheme, "" | "http" | "https"), "the scheme http or https")?;
        let accept = self.headers.values("accept").filter_map(|value| std::str::from_utf8(value).ok());
        let accepts_html = accepts_html(accept);
        Ok(OriginalRequest { method: &http.method, scheme, host: &http.host, uri: &http.path, accepts_html })
    }

    fn credentials(&self) -> RequestCredentials<'_> {
        // No session cookie or token has a comma, so that a comma is where Envoy joined two headers.
        let split = |name: &str| match self.headers.is_joined {
            true => self.headers.values(name).flat_map(|value| value.split(|byte| *byte == b',')).collect(),
            false => self.headers.values(name).collect(),
        };
        RequestCredentials {
            authorization: self.headers.values("authorization").collect(),
            cookies: split("cookie"),
            session_tokens: split(SESSION_TOKEN),
            verified: &self.verified,
        }
    }
}

impl<'r> Headers<'r> {
    fn none() -> Self {
        Self { all: Vec::new(), is_joined: false, is_conflicting: false }
    }

    fn new(http: &'r HttpRequest) -> Self {
        let joined: Vec<_> = http.headers.iter().map(|entry| (entry.key.as_str(), entry.value.as_bytes())).collect();
        let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
            let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
            (header.key.as_str(), value)
        });
        let raw: Vec<_> = raw.collect();
        let is_header = |(name, _): &(&str, &[u8])| !name.starts_with(':');
        let (joined, raw) = match (joined.is_empty(), raw.is_empty()) {
            (_, true) => return Self { all: only(joined, is_header), is_joined: true, is_conflicting: false },
            (true, false) => return Self { all: only(raw, is_header), is_joined: false, is_conflicting: false },
            (false, false) => (only(joined, is_header), only(raw, is_header)),
        };
        // Envoy sends one of the two. With both, they must agree on what is trusted.
        let of = |headers: &[(&str, &[u8])], name: &str| {
            let values: Vec<&[u8]> =
                headers.iter().filter(|(other, _)| is_name(other, name)).map(|(_, v)| *v).collect();
            (!values.is_empty()).then(|| values.join(&b","[..]))
        };
        let is_conflicting = CREDENTIALS.iter().any(|name| of(&joined, name) != of(&raw, name));
        let all = raw.into_iter().chain(joined.into_iter().filter(|(name, _)| !is_usual(name))).collect();
        Self { all, is_joined: false, is_conflicting }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.all.iter().filter(move |(other, _)| is_name(other, name)).map(|(_, value)| *value)
    }
}

fn only<T>(mut items: Vec<T>, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    items.retain(is_wanted);
    items
}

fn is_name(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

/// Returns the response for a request that passed.
pub(super) fn passed(allowed: &Allowed) -> Response<Reply> {
    let mut ok = OkHttpResponse::default();
    for (name, value) in &allowed.headers {
        match value.is_empty() {
            // Envoy drops empty values, so that the header of the client would stay.
            true => ok.headers_to_remove.push(name.clone()),
            false => ok.headers.push(header(name, value, AppendAction::OverwriteIfExistsOrAdd)),
        }
    }
    // The service behind Envoy can set cookies, too.
    let cookies = allowed.session.set_cookies.iter();
    ok.response_headers_to_add =
        cookies.map(|cookie| header("set-cookie", cookie, AppendAction::AppendIfExistsOrAdd)).collect();
    let metadata = (!allowed.metadata.is_empty()).then(|| structs::from_pairs(&allowed.metadata));
    success(&CheckResponse {
        status: Some(RpcStatus { code: Status::Ok as i32, message: String::new() }),
        http_response: Some(HttpResponse::Ok(ok)),
        dynamic_metadata: metadata,
    })
}

/// Returns the response for a request that did not pass, and the status that its client gets. A failure of claimsmith is a
/// status of gRPC, so that Envoy counts it as one.
pub(super) fn denied(denied: &Denied, request_id: RequestId) -> (Response<Reply>, u16) {
    let denial = &denied.denial;
    let response = ProxyResponse::redirect(denial).unwrap_or_else(|| ProxyResponse::problem(denial, request_id));
    let status = response.status;
    if status >= 500 {
        return (failure(Status::of(denial.code), &denial.detail), status);
    }
    let code = match status {
        401 | 302 => Status::Unauthenticated,
        429 => Status::ResourceExhausted,
        _ => Status::PermissionDenied,
    };
    let headers = response.headers.iter().enumerate().map(|(index, (name, value))| {
        // Versions of Envoy that apply one after the other would keep only the last of several that overwrite.
        match response.headers[..index].iter().any(|(other, _)| other == name) {
            true => header(name, value, AppendAction::AppendIfExistsOrAdd),
            false => header(name, value, AppendAction::OverwriteIfExistsOrAdd),
        }
    });
    let headers = headers.collect();
    let message = CheckResponse {
        status: Some(RpcStatus { code: code as i32, message: denial.code.as_str().to_owned() }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus { code: i32::from(status) }),
            headers,
            body: response.body,
        })),
        dynamic_metadata: None,
    };
    (success(&message), status)
}

fn header(name: &str, value: &str, action: AppendAction) -> HeaderValueOption {
    let header = HeaderValue { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() };
    HeaderValueOption { header: Some(header), append_action: action as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::grpc::proto::{HeaderMap, Request, TextEntry};

    fn described(joined: &[(&str, &str)], raw: &[(&str, &str)], extensions: &[(&str, &str)]) -> CheckRequest {
        let entry = |(key, value): &(&str, &str)| TextEntry { key: (*key).to_owned(), value: (*value).to_owned() };
        let value = |(key, value): &(&str, &str)| HeaderValue {
            key: (*key).to_owned(),
            value: String::new(),
            raw_value: value.as_bytes().to_vec(),
        };
        let http = HttpRequest {
            method: "GET".to_owned(),
            path: "/a?b".to_owned(),
            host: "app.example".to_owned(),
            scheme: "https".to_owned(),
            headers: joined.iter().map(entry).collect(),
            header_map: (!raw.is_empty()).then(|| HeaderMap { headers: raw.iter().map(value).collect() }),
        };
        let context = AttributeContext {
            request: Some(Request { http: Some(http) }),
            context_extensions: extensions.iter().map(entry).collect(),
            metadata_context: None,
        };
        CheckRequest { attributes: Some(context) }
    }

    fn texts(values: &[&[u8]]) -> Vec<String> {
        values.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn check_comes_from_the_route_or_is_the_default() {
        let route = described(&[], &[], &[("other", "x"), ("check", "admin")]);
        assert_eq!(Described::new(&route).check(Some("web")), "admin");
        let none = described(&[], &[], &[]);
        assert_eq!(Described::new(&none).check(Some("web")), "web");
        assert_eq!(Described::new(&none).check(None), "");
    }

    #[test]
    fn credentials_are_read_from_either_form_of_headers() {
        for (joined, raw, authorization, cookies) in [
            (
                &[("authorization", "Bearer a"), ("cookie", "s=1; t=2")][..],
                &[][..],
                &["Bearer a"][..],
                &["s=1; t=2"][..],
            ),
            (
                &[],
                &[("authorization", "Bearer a"), ("cookie", "s=1"), ("cookie", "t=2")],
                &["Bearer a"],
                &["s=1", "t=2"],
            ),
            (&[], &[("authorization", "Bearer a"), ("Authorization", "Bearer b")], &["Bearer a", "Bearer b"], &[]),
            // Envoy joined two headers, each of which is read as one.
            (&[("cookie", "s=1,s=2")], &[], &[], &["s=1", "s=2"]),
            (&[("authorization", "Bearer a,Bearer b")], &[], &["Bearer a,Bearer b"], &[]),
            (&[], &[("cookie", "s={1,2}")], &[], &["s={1,2}"]),
            (&[(":authority", "x"), (":authorization", "Bearer a")], &[], &[], &[]),
        ] {
            let request = described(joined, raw, &[]);
            let described = Described::new(&request);
            let found = described.request("web");
            assert!(found.original.is_ok(), "{joined:?} {raw:?}");
            assert_eq!(texts(&found.credentials.authorization), authorization, "{joined:?} {raw:?}");
            assert_eq!(texts(&found.credentials.cookies), cookies, "{joined:?} {raw:?}");
        }
    }

    #[test]
    fn both_forms_of_headers_must_agree_on_credentials() {
        for (joined, raw, agree) in [
            (&[("cookie", "s=1"), ("x", "1")][..], &[("cookie", "s=1"), ("x", "2")][..], true),
            (&[("cookie", "s=1,t=2")], &[("cookie", "s=1"), ("cookie", "t=2")], true),
            (&[("cookie", "s=1")], &[("cookie", "s=2")], false),
            (&[("cookie", "s=1")], &[("x", "1")], false),
            (&[("x", "1")], &[("authorization", "Bearer a")], false),
            (&[("x-session-token", "a")], &[("x-session-token", "a"), ("x-session-token", "a")], false),
        ] {
            let request = described(joined, raw, &[]);
            let found = Described::new(&request);
            let code = found.request("web").original.err().map(|refusal| refusal.code);
            assert_eq!(code, (!agree).then_some(ErrorCode::SessionAmbiguous), "{joined:?} {raw:?}");
        }
        let request = described(&[("x_user_id", "1")], &[("x", "1")], &[]);
        assert_eq!(Described::new(&request).request("web").unusual, ["x_user_id"], "names of both forms are seen");
    }

    #[test]
    fn incomplete_description_is_refused() {
        let refused = |change: &dyn Fn(&mut HttpRequest)| {
            let mut request = described(&[], &[], &[]);
            let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
            change(http);
            Described::new(&request).request("web").original.err().map(|refusal| refusal.code)
        };
        assert_eq!(refused(&|_| {}), None);
        assert_eq!(refused(&|http| http.scheme.clear()), None);
        let metadata = Some(ErrorCode::RequestMetadata);
        assert_eq!(refused(&|http| http.method.clear()), metadata);
        assert_eq!(refused(&|http| http.host.clear()), metadata);
        assert_eq!(refused(&|http| http.path.clear()), metadata);
        assert_eq!(refused(&|http| http.path = "a".to_owned()), metadata);
        assert_eq!(refused(&|http| http.path = "/a b".to_owned()), metadata);
        assert_eq!(refused(&|http| http.host = "a/b".to_owned()), metadata);
        assert_eq!(refused(&|http| http.scheme = "javascript".to_owned()), metadata);
        let none = CheckRequest { attributes: None };
        let code = Described::new(&none).request("web").original.err().map(|refusal| refusal.code);
        assert_eq!(code, metadata);
    }
}
