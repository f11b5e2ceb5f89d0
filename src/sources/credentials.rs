//! The credentials of a request that a source may look at.

use std::fmt;

/// The credential headers of the original request, in the order in which they came. `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct RequestCredentials<'r> {
    /// The values of `Authorization`.
    pub authorization: Vec<&'r [u8]>,
    /// The values of `Cookie`.
    pub cookies: Vec<&'r [u8]>,
    /// The values of `X-Session-Token`.
    pub session_tokens: Vec<&'r [u8]>,
    /// What Envoy verified itself: the JSON texts of metadata, by filter. Only a protocol in which a client cannot write
    /// it has any.
    pub verified: &'r [(String, String)],
}

/// A request has more than one credential of a kind, so that two readers could choose different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one {kind}, found more than one, or one with a comma or bytes that are not visible ASCII")]
pub struct AmbiguousCredentials {
    /// The kind of credential.
    pub kind: &'static str,
}

impl<'r> RequestCredentials<'r> {
    /// Returns the only `Authorization` header if its scheme is Bearer.
    ///
    /// # Errors
    /// Returns [`AmbiguousCredentials`] for several headers, whatever their schemes, and for a token that is not one word
    /// without a comma.
    pub(super) fn bearer(&self) -> Result<Option<&'r str>, AmbiguousCredentials> {
        let kind = "Authorization header";
        let Some(value) = only(&self.authorization, kind)? else { return Ok(None) };
        let Some((scheme, token)) = value.split_once(' ') else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        let token = token.trim();
        if token.contains([',', ' ', '\t']) {
            return Err(AmbiguousCredentials { kind });
        }
        Ok((!token.is_empty()).then_some(token))
    }

    /// Returns `true` if there is a bearer token, whatever its form.
    pub fn has_bearer(&self) -> bool {
        !matches!(self.bearer(), Ok(None))
    }

    /// Returns the only `X-Session-Token` header.
    ///
    /// # Errors
    /// As [`RequestCredentials::bearer`].
    pub(super) fn session_token(&self) -> Result<Option<&'r str>, AmbiguousCredentials> {
        let kind = "X-Session-Token header";
        match only(&self.session_tokens, kind)?.map(str::trim) {
            Some(token) if token.contains([',', ' ', '\t']) => Err(AmbiguousCredentials { kind }),
            token => Ok(token.filter(|token| !token.is_empty())),
        }
    }

    /// Returns the only cookie whose name `is_wanted` accepts. An empty cookie is absent.
    ///
    /// # Errors
    /// Returns [`AmbiguousCredentials`] if there are several.
    pub(super) fn cookie(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<(&'r str, &'r str)>, AmbiguousCredentials> {
        let ambiguous = AmbiguousCredentials { kind: "session cookie" };
        let mut found = None;
        for line in &self.cookies {
            // Other cookies can have any bytes; they end at the next semicolon.
            for pair in line.split(|byte| *byte == b';') {
                let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
                let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
                let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_wanted(name)) else { continue };
                let value = visible(value).filter(|value| !value.contains([' ', '\t'])).ok_or(ambiguous)?;
                if !value.is_empty() && found.replace((name, value)).is_some() {
                    return Err(ambiguous);
                }
            }
        }
        Ok(found)
    }
}

/// Returns the only one of `values`.
fn only<'r>(values: &[&'r [u8]], kind: &'static str) -> Result<Option<&'r str>, AmbiguousCredentials> {
    match values {
        [] => Ok(None),
        [value] => visible(value).map(Some).ok_or(AmbiguousCredentials { kind }),
        _ => Err(AmbiguousCredentials { kind }),
    }
}

/// Returns `value` as text if it has only visible ASCII, spaces and tabs.
fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    std::str::from_utf8(value).ok().filter(|_| value.iter().all(is_visible))
}

impl fmt::Debug for RequestCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestCredentials")
            .field("authorization", &self.authorization.len())
            .field("cookies", &self.cookies.len())
            .field("session_tokens", &self.session_tokens.len())
            .field("verified", &self.verified.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(authorization: &[&'static str], cookies: &[&'static str]) -> RequestCredentials<'static> {
        let bytes = |texts: &[&'static str]| texts.iter().map(|text| text.as_bytes()).collect();
        RequestCredentials {
            authorization: bytes(authorization),
            cookies: bytes(cookies),
            ..RequestCredentials::default()
        }
    }

    #[test]
    fn bearer_token_is_one_word_of_one_header() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["Bearer ory_st_a"], Ok(Some("ory_st_a"))),
            (&["bEARER  ory_st_a "], Ok(Some("ory_st_a"))),
            (&["Basic dTpw"], Ok(None)),
            (&["Digest a, b"], Ok(None)),
            (&["Bearer"], Ok(None)),
            (&["Bearer "], Ok(None)),
            (&["Bearer a,Bearer b"], Err(())),
            (&["Bearer a b"], Err(())),
            (&["Bearer \u{fc}"], Err(())),
            (&["Bearer a", "Bearer a"], Err(())),
            (&["Bearer a", "Basic b"], Err(())),
        ] {
            assert_eq!(of(values, &[]).bearer().map_err(drop), expected, "{values:?}");
        }
    }

    #[test]
    fn session_cookie_is_one_of_its_name_whatever_the_others_are() {
        let wanted = |name: &str| name == "s";
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&["a=b; s=v; c=d"], Ok(Some(("s", "v")))),
            (&["a=b", "s=v=w"], Ok(Some(("s", "v=w")))),
            (&["s=;a"], Ok(None)),
            (&["S=v; ss=v; xs=v"], Ok(None)),
            (&["a=\u{fc}; s=v"], Ok(Some(("s", "v")))),
            (&["s=v; s=v"], Err(())),
            (&["s=v", "s=w"], Err(())),
            (&["s=\u{fc}"], Err(())),
            (&["s=a b"], Err(())),
        ] {
            assert_eq!(of(&[], lines).cookie(wanted).map_err(drop), expected, "{lines:?}");
        }
    }
}
