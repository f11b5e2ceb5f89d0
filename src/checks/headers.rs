//! Claims as plain headers, for services that read no token.

use std::fmt;

use percent_encoding::percent_encode_byte;

use super::Check;
use crate::json::Json;

/// The longest name of a header.
const LONGEST_NAME: usize = 128;

/// Headers that a proxy, a client or a service gives a meaning of its own, and headers that claimsmith sends or reads itself. A
/// claim must not become one of them, because users choose the text of many claims.
const RESERVED: [&str; 43] = [
    "accept",
    "authorization",
    "baggage",
    "cache-control",
    "clear-site-data",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "link",
    "location",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-claimsmith-secret",
    "x-method-override",
    "x-real-ip",
    "x-request-id",
    "x-sendfile",
    "x-session-token",
];

/// The beginnings of header names that proxies, clients or services give a meaning of their own.
const RESERVED_PREFIXES: [&str; 11] = [
    "access-control-",
    "alt-",
    "content-",
    "if-",
    "sec-",
    "x-accel-",
    "x-b3-",
    "x-envoy-",
    "x-forwarded-",
    "x-http-method",
    "x-original-",
];

/// The name of a plain header: letters, digits and dashes, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputHeader(String);

impl OutputHeader {
    /// Parses a name. An underscore is rejected, because some services cannot tell it from a dash.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let name = text.to_ascii_lowercase();
        let is_reserved =
            RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        (is_plain && !name.is_empty() && name.len() <= LONGEST_NAME && !is_reserved).then_some(Self(name))
    }

    /// Returns the name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns `true` if a token can be in the header `name` of a response to a proxy.
pub(crate) fn carries_token(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "authorization" || !RESERVED.contains(&name.as_str()) && !name.starts_with("content-")
}

/// Returns `true` if `name` is not `header`, but the same to a service that reads headers as variables: it replaces
/// everything but letters and digits by an underscore (RFC 3875, section 4.1.18).
pub(crate) fn is_lookalike(name: &str, header: &str) -> bool {
    let variable = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
    !name.eq_ignore_ascii_case(header) && name.bytes().map(variable).eq(header.bytes().map(variable))
}

impl fmt::Display for OutputHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns every plain header of `check` with its value in `claims`. A claim that is missing or null gives an empty value,
/// so that the set of headers is always the same.
pub(crate) fn plain_headers<'c>(check: &'c Check, claims: &Json<'_>) -> Vec<(&'c OutputHeader, String)> {
    let value = |claim: Option<&Json<'_>>| match claim {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => encoded(text),
        Some(other) => encoded(&other.to_string()),
    };
    check.headers.iter().map(|(name, path)| (name, value(path.find(claims)))).collect()
}

/// Percent-encodes what a header cannot carry: bytes that are not visible ASCII, spaces at both ends, and `%` itself, so
/// that the value can be decoded.
fn encoded(text: &str) -> String {
    let core = text.trim_matches(' ');
    let start = text.len() - text.trim_start_matches(' ').len();
    let inner = start..start + core.len();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_graphic() && byte != b'%' || byte == b' ' && inner.contains(&at) {
            out.push(char::from(byte));
        } else {
            out.push_str(percent_encode_byte(byte));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Requirement;
    use crate::json::{MemberPath, ReadLimits};
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn headers_are_always_the_same_set() {
        let headers =
            [("X-User-Id", "sub"), ("x-email", "email"), ("X-Groups", "groups"), ("X-Level", "n"), ("X-N", "null")];
        let check = Check {
            sources: Vec::new(),
            profile: "p".to_owned(),
            require: Requirement::default(),
            login: None,
            headers: headers
                .iter()
                .map(|(name, path)| (OutputHeader::parse(name).unwrap(), MemberPath::parse(path).unwrap()))
                .collect(),
        };
        let of = |claims: &str| {
            let claims = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
            let headers = plain_headers(&check, &claims);
            headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let full = of(r#"{"sub":"u","email":"m\u00fc%\r\n@e ","groups":["a","b"],"n":7,"null":null}"#);
        assert_eq!(
            full,
            ["x-user-id: u", "x-email: m%C3%BC%25%0D%0A@e%20", "x-groups: [\"a\",\"b\"]", "x-level: 7", "x-n: "]
        );
        assert_eq!(of("{}"), ["x-user-id: ", "x-email: ", "x-groups: ", "x-level: ", "x-n: "]);
    }

    #[test]
    fn names_with_underscores_and_names_of_the_protocol_are_rejected() {
        for right in ["X-User-Id", "x-email", "User"] {
            assert!(OutputHeader::parse(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "X_User",
            "a b",
            "a:",
            "\u{e9}",
            "Connection",
            "te",
            "Set-Cookie",
            "X-Forwarded-User",
            "Authorization",
            "x-accel-redirect",
            "Sec-Fetch-Mode",
            "X-Original-User",
            "X-Request-Id",
            "X-Claimsmith-Secret",
            "X-HTTP-Method-Override",
            "Forwarded",
            "If-Match",
            "Content-Disposition",
            "Access-Control-Allow-Origin",
        ] {
            assert_eq!(OutputHeader::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn token_is_in_no_header_that_has_another_meaning() {
        for (name, expected) in [
            ("Authorization", true),
            ("X-Id-Token", true),
            ("X-Forwarded-Access-Token", true),
            ("X-Request-Id", false),
            ("Cache-Control", false),
            ("set-cookie", false),
            ("Content-Language", false),
        ] {
            assert_eq!(carries_token(name), expected, "{name}");
        }
    }

    #[test]
    fn lookalike_differs_only_in_characters_that_variables_cannot_have() {
        for (name, expected) in [
            ("x_user_id", true),
            ("X_User-Id", true),
            ("X.User.Id", true),
            ("x!user~id", true),
            ("X-User-Id", false),
            ("x-user-id", false),
            ("X-UserId", false),
            ("x_user", false),
            ("x_user_ids", false),
        ] {
            assert_eq!(is_lookalike(name, "X-User-Id"), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_carried_and_can_be_decoded(text in any::<String>()) {
            let value = encoded(&text);
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert_eq!(value.trim(), value.as_str());
            prop_assert_eq!(percent_decode_str(&value).decode_utf8().unwrap(), text);
        }
    }
}
