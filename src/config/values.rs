//! Small values of a configuration that are right once they exist.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;

/// The name of a profile, as it stands in paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

/// An IP address or host name to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(HostForm);

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostForm {
    Address(IpAddr),
    Name(String),
}

/// The name of a header that a token may travel in, in Go's canonical form: `X-Id-Token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderName(String);

/// What no profile may be called: the first segments of paths of the api and admin listeners, and the folder of partials,
/// which stands where the profile's template would.
const RESERVED: [&str; 9] =
    ["_partials", "health", "hydrate", "issue", "metrics", "openapi.json", "playground", "version", ".well-known"];

/// Headers that belong to the connection or the message: a token in one of them would break the request it is for.
const REFUSED_HEADERS: [&str; 14] = [
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
];

impl ProfileName {
    /// Takes `text` as a profile's name: up to 128 letters, digits, `_`, `-` and `.`, the first a letter, digit or `_`,
    /// and none of the reserved words.
    pub fn parse(text: &str) -> Option<Self> {
        (is_name(text) && !Self::is_reserved(text)).then(|| Self(text.to_owned()))
    }

    /// Whether it is a word that paths start with, or the folder of partials.
    pub fn is_reserved(text: &str) -> bool {
        RESERVED.contains(&text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ProfileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Host {
    /// Takes `text` as an IP address, in brackets or not, or as a host name.
    pub fn parse(text: &str) -> Option<Self> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = unbracketed.parse::<IpAddr>() {
            return Some(Self(HostForm::Address(address)));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let is_name = text.len() <= 253 && has_letter && text.split('.').all(is_label);
        is_name.then(|| Self(HostForm::Name(text.to_ascii_lowercase())))
    }

    /// Whether only this machine reaches it. Of names, only `localhost` is known to.
    pub fn is_loopback(&self) -> bool {
        match &self.0 {
            HostForm::Address(address) => address.to_canonical().is_loopback(),
            HostForm::Name(name) => name == "localhost",
        }
    }

    /// Whether two listeners on the same port cannot both have their host.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (HostForm::Address(left), HostForm::Address(right)) => {
                let (left, right) = (left.to_canonical(), right.to_canonical());
                left == right || left.is_unspecified() || right.is_unspecified()
            }
            (HostForm::Name(left), HostForm::Name(right)) => left == right,
            (HostForm::Address(address), HostForm::Name(_)) | (HostForm::Name(_), HostForm::Address(address)) => {
                address.is_unspecified() || self.is_loopback() && other.is_loopback()
            }
        }
    }

    /// The host as a socket address or a resolver takes it, without brackets.
    pub fn text(&self) -> String {
        match &self.0 {
            HostForm::Address(address) => address.to_string(),
            HostForm::Name(name) => name.clone(),
        }
    }
}

impl fmt::Display for Host {
    /// As in a URL: IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HostForm::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            HostForm::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            HostForm::Name(name) => f.write_str(name),
        }
    }
}

impl HeaderName {
    /// Takes `text` as a header's name, in any case; headers that belong to the connection or the message are none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !is_token(text) || text.len() > 128 {
            return None;
        }
        let mut is_first = true;
        let canonical: String = text
            .chars()
            .map(|c| {
                let cased = if is_first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
                is_first = c == '-';
                cased
            })
            .collect();
        (!REFUSED_HEADERS.contains(&canonical.as_str())).then_some(Self(canonical))
    }

    /// The name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` can name a profile, a template or a caller.
pub(super) fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= 128
        && text.bytes().all(is_inner)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether `text` is an http or https URL that paths can be put behind.
pub(super) fn is_base_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    !authority.is_empty()
        && !authority.contains('@')
        && !rest.contains(['?', '#'])
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn profile_names_stay_clear_of_paths() {
        for right in ["id_token", "_x", "a.b-c", "0", "Hydrate", "rule-1"] {
            assert!(ProfileName::parse(right).is_some(), "{right}");
        }
        for wrong in
            ["", ".well-known", "-a", "a/b", "a b", "hydrate", "_partials", "openapi.json", "é", &"a".repeat(129)]
        {
            assert!(ProfileName::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn hosts_know_whether_they_are_loopback() {
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"] {
            assert!(Host::parse(loopback).unwrap().is_loopback(), "{loopback}");
        }
        for reachable in ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "gateway", "::ffff:10.0.0.1"] {
            assert!(!Host::parse(reachable).unwrap().is_loopback(), "{reachable}");
        }
        for wrong in ["", "127.0.0.1:80", "a b", "http://x", "256.1.1.1", "-a", "a..b", "[::1", "*"] {
            assert!(Host::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(Host::parse("::1").unwrap().to_string(), "[::1]");
        assert_eq!(Host::parse("[::1]").unwrap().text(), "::1");
    }

    #[test]
    fn hosts_overlap_where_one_takes_all() {
        let overlaps = |left: &str, right: &str| {
            let (left, right) = (Host::parse(left).unwrap(), Host::parse(right).unwrap());
            assert_eq!(left.overlaps(&right), right.overlaps(&left));
            left.overlaps(&right)
        };
        assert!(overlaps("127.0.0.1", "127.0.0.1"));
        assert!(overlaps("0.0.0.0", "127.0.0.1"));
        assert!(overlaps("::", "localhost"));
        assert!(overlaps("localhost", "127.0.0.1"));
        assert!(!overlaps("127.0.0.1", "127.0.0.2"));
        assert!(!overlaps("10.0.0.1", "localhost"));
    }

    #[test]
    fn headers_are_written_as_go_does() {
        let canonical = |text| HeaderName::parse(text).map(|name| name.as_str().to_owned());
        assert_eq!(canonical("x-id-token").as_deref(), Some("X-Id-Token"));
        assert_eq!(canonical("AUTHORIZATION").as_deref(), Some("Authorization"));
        assert_eq!(canonical("x_a-b").as_deref(), Some("X_a-B"));
        for wrong in ["", "a b", "a:", "é", "content-length", "HOST", "transfer-encoding", "te"] {
            assert_eq!(canonical(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn base_urls_have_a_host_and_nothing_after_the_path() {
        for right in ["https://a.example", "http://127.0.0.1:4455/", "https://a/b/c"] {
            assert!(is_base_url(right), "{right}");
        }
        for wrong in ["", "https://", "ftp://a", "https://u:p@a/", "https://a/?q", "https://a#f", "https://a b", "a"] {
            assert!(!is_base_url(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_header_stays_as_it_is(text in "[!-~]{1,20}") {
            if let Some(name) = HeaderName::parse(&text) {
                prop_assert_eq!(HeaderName::parse(name.as_str()), Some(name.clone()));
                prop_assert!(name.as_str().eq_ignore_ascii_case(&text));
            }
        }
    }
}
