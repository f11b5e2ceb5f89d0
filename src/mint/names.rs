//! The names in a profile: its own, and the header that carries its token.

use std::borrow::Borrow;
use std::fmt;

use crate::templates::TemplateName;

/// The name of a profile, as it appears in URL paths. Each profile name is also a template name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(TemplateName);

/// The name of a header that can carry a token, in Go's canonical form: `X-Id-Token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(String);

/// Names that no profile may have: the first path segments of both listeners, and the directory of partials, which
/// would be the directory of the profile's template.
const RESERVED: [&str; 12] = [
    "_partials",
    "auth-request",
    "ext-authz",
    "forward-auth",
    "health",
    "hydrate",
    "issue",
    "metrics",
    "openapi.json",
    "playground",
    "version",
    ".well-known",
];

/// Headers of the connection or the message. A token in one of them would break the request.
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
    /// Parses a name: a template name that is not reserved.
    pub fn parse(text: &str) -> Option<Self> {
        if Self::is_reserved(text) { None } else { TemplateName::parse(text).map(Self) }
    }

    /// Returns `true` if `text` is the first segment of a path of the service, or the directory of partials.
    pub fn is_reserved(text: &str) -> bool {
        RESERVED.contains(&text)
    }

    /// Returns the template that a profile of this name uses by default.
    pub fn default_template(&self) -> TemplateName {
        self.0.clone()
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

// `BTreeMap` requires equal orders of both types. The derived order of a name is the order of its text.
impl Borrow<str> for ProfileName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl HeaderName {
    /// Returns `Authorization`.
    pub fn authorization() -> Self {
        Self("Authorization".to_owned())
    }

    /// Parses the name of a header, in any case. Headers of the connection or the message are rejected.
    pub fn parse(text: &str) -> Option<Self> {
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

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns `true` if `text` is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
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
    fn headers_are_written_as_go_does() {
        let canonical = |text| HeaderName::parse(text).map(|name| name.as_str().to_owned());
        assert_eq!(canonical("x-id-token").as_deref(), Some("X-Id-Token"));
        assert_eq!(canonical("AUTHORIZATION").as_deref(), Some("Authorization"));
        assert_eq!(canonical("x_a-b").as_deref(), Some("X_a-B"));
        for wrong in ["", "a b", "a:", "é", "content-length", "HOST", "transfer-encoding", "te"] {
            assert_eq!(canonical(wrong), None, "{wrong}");
        }
        assert!(HeaderName::parse(&"a".repeat(128)).is_some());
        assert_eq!(HeaderName::parse(&"a".repeat(129)), None);
        assert_eq!(HeaderName::parse("x-a").unwrap().to_string(), "X-A");
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
