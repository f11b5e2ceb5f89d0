//! Which source of a check a bearer token belongs to. Nothing here is verified: a token that says something untrue about
//! itself only reaches a source that refuses it.

use std::ptr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{AmbiguousCredentials, Credential, RequestCredentials, Source, Sources};
use crate::json::{Json, ReadLimits};

/// The beginning of session tokens of Kratos.
const KRATOS_PREFIX: &str = "ory_st_";
/// The most bytes of a payload in which an issuer is looked for. Longer tokens are refused anyway.
pub(super) const LONGEST_TOKEN: usize = 16 << 10;

/// The bearer tokens that a source takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes<'s> {
    /// None.
    Nothing,
    /// Session tokens of Kratos. Old ones have no prefix.
    KratosTokens,
    /// JWTs of this issuer.
    Issuer(&'s str),
    /// Every access token that is of no other source.
    AccessTokens,
}

/// What a bearer token looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenForm {
    /// A session token of Kratos.
    Kratos,
    /// Text without a form.
    Opaque,
    /// A JWT with this issuer, or an encrypted one.
    Jwt {
        /// `iss`, if it has one that can be read.
        issuer: Option<String>,
    },
    /// Three parts like a JWT, but the payload is not JSON that has one meaning.
    Unreadable,
}

/// Returns the form of a token.
pub(super) fn form(token: &str) -> TokenForm {
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    match parts.as_slice() {
        [_, payload, _] => match read_issuer(payload) {
            Some(issuer) => TokenForm::Jwt { issuer },
            None => TokenForm::Unreadable,
        },
        [_, _, _, _] => TokenForm::Jwt { issuer: None },
        _ if token.starts_with(KRATOS_PREFIX) => TokenForm::Kratos,
        _ => TokenForm::Opaque,
    }
}

/// Returns the `iss` of a payload; `None` if the payload cannot be read.
fn read_issuer(payload: &str) -> Option<Option<String>> {
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok().filter(|_| payload.len() <= LONGEST_TOKEN)?;
    let claims = Json::parse(&bytes, ReadLimits::default()).ok()?;
    let Json::Object(_) = &claims else { return None };
    match claims.member("iss") {
        None => Some(None),
        Some(issuer) => issuer.as_str().map(|issuer| Some(issuer.to_owned())),
    }
}

/// Returns the index of the source that `token` belongs to, of sources that take these tokens.
fn owner(token: &str, sources: &[Takes<'_>]) -> Option<usize> {
    let find = |wanted: Takes<'_>| sources.iter().position(|takes| *takes == wanted);
    match form(token) {
        TokenForm::Kratos => find(Takes::KratosTokens),
        TokenForm::Opaque => find(Takes::AccessTokens).or_else(|| find(Takes::KratosTokens)),
        TokenForm::Jwt { issuer: Some(issuer) } => find(Takes::Issuer(&issuer)).or_else(|| find(Takes::AccessTokens)),
        TokenForm::Jwt { issuer: None } | TokenForm::Unreadable => find(Takes::AccessTokens),
    }
}

impl Sources {
    /// Returns the first of the sources `names` whose credential is in `request`, with the credential. A bearer token
    /// belongs to at most one of them. A request whose bearer token belongs to none is not anonymous: its credential failed.
    ///
    /// # Errors
    /// Returns [`AmbiguousCredentials`] if there is more than one credential of a kind.
    pub fn find(
        &self,
        names: &[String],
        request: &RequestCredentials<'_>,
    ) -> Result<Option<(&Source, Credential)>, AmbiguousCredentials> {
        let sources: Vec<&Source> = names.iter().filter_map(|name| self.source(name)).collect();
        let takes: Vec<Takes<'_>> = sources.iter().map(|source| source.takes()).collect();
        // Envoy reads the token for a source of its metadata.
        let reads_bearer = takes.iter().any(|takes| *takes != Takes::Nothing)
            || sources.iter().any(|source| source.kind.reads_bearer_elsewhere());
        let token = if reads_bearer { request.bearer()? } else { None };
        let owner = token.and_then(|token| owner(token, &takes)).map(|index| sources[index]);
        let without_bearer = RequestCredentials { authorization: Vec::new(), ..request.clone() };
        let is_refused = reads_bearer && owner.is_none() && request.has_bearer();
        for source in sources {
            if is_refused && source.kind.takes_everyone() {
                continue;
            }
            let is_owner = owner.is_some_and(|owner| ptr::eq(owner, source));
            if let Some(credential) = source.credential(if is_owner { request } else { &without_bearer })? {
                return Ok(Some((source, credential)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn form_is_read_without_trust() {
        let issued = |issuer: &str| TokenForm::Jwt { issuer: Some(issuer.to_owned()) };
        for (token, expected) in [
            ("ory_st_abc".to_owned(), TokenForm::Kratos),
            ("ory_at_abc.def".to_owned(), TokenForm::Opaque),
            ("abc".to_owned(), TokenForm::Opaque),
            (jwt(r#"{"iss":"https://a/"}"#), issued("https://a/")),
            (jwt(r#"{"sub":"u"}"#), TokenForm::Jwt { issuer: None }),
            ("a.b.c.d.e".to_owned(), TokenForm::Jwt { issuer: None }),
            (jwt(r#"{"iss":"https://a","iss":"https://b"}"#), TokenForm::Unreadable),
            (jwt(r#"{"iss":["https://a"]}"#), TokenForm::Unreadable),
            (jwt("[]"), TokenForm::Unreadable),
            (jwt(&format!(r#"{{"iss":"a","x":"{}"}}"#, "x".repeat(LONGEST_TOKEN))), TokenForm::Unreadable),
            ("a.b.c".to_owned(), TokenForm::Unreadable),
            ("ory_st_a.b.c".to_owned(), TokenForm::Unreadable),
        ] {
            assert_eq!(form(&token), expected, "{}", &token[..token.len().min(60)]);
        }
    }

    #[test]
    fn each_token_has_at_most_one_owner() {
        let all = [
            Takes::Nothing,
            Takes::Issuer("https://a"),
            Takes::KratosTokens,
            Takes::AccessTokens,
            Takes::Issuer("https://b"),
        ];
        let (kratos, jwts) = ([Takes::KratosTokens, Takes::Nothing], [Takes::Issuer("https://a")]);
        for (token, of_all, of_kratos, of_jwts) in [
            ("ory_st_x".to_owned(), Some(2), Some(0), None),
            ("ory_at_x.y".to_owned(), Some(3), Some(0), None),
            ("x".to_owned(), Some(3), Some(0), None),
            (jwt(r#"{"iss":"https://a"}"#), Some(1), None, Some(0)),
            (jwt(r#"{"iss":"https://b"}"#), Some(4), None, None),
            (jwt(r#"{"iss":"https://a/"}"#), Some(3), None, None),
            (jwt(r#"{"iss":"HTTPS://a"}"#), Some(3), None, None),
            (jwt("{}"), Some(3), None, None),
            ("a.b.c".to_owned(), Some(3), None, None),
        ] {
            assert_eq!(owner(&token, &all), of_all, "{token}");
            assert_eq!(owner(&token, &kratos), of_kratos, "{token}");
            assert_eq!(owner(&token, &jwts), of_jwts, "{token}");
        }
        assert_eq!(
            owner("ory_st_x", &[Takes::AccessTokens]),
            None,
            "a session token of Kratos goes to no other server"
        );
    }
}
