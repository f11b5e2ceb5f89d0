//! May this peer ask at all? HTTP Basic (RFC 7617), which is all that Oathkeeper can send, and bearer (RFC 6750).
//!
//! Credentials are compared in constant time, and every configured caller is compared every time, so that neither a
//! secret's length nor a caller's place in the list shows in the time an answer takes.

use std::fmt;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;
use crate::code::ErrorCode;
use crate::secret::Secret;

/// Who may ask for tokens.
pub struct Callers {
    known: Vec<KnownCaller>,
}

struct KnownCaller {
    name: String,
    credential: Credential,
}

enum Credential {
    Basic { username: Secret, password: Secret },
    Bearer(Secret),
}

/// What a request presents.
enum Presented {
    Basic { username: Vec<u8>, password: Vec<u8> },
    Bearer(Vec<u8>),
}

/// The peer of a request, after it was asked for its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller<'c> {
    /// No callers are configured, so anybody who reaches the listener may ask.
    Anyone,
    /// A configured caller.
    Known(&'c str),
}

impl Callers {
    /// Nobody is asked for credentials.
    pub fn anyone() -> Self {
        Self { known: Vec::new() }
    }

    /// Adds a caller with HTTP Basic.
    #[must_use]
    pub fn with_basic(mut self, name: &str, username: &str, password: Secret) -> Self {
        let credential = Credential::Basic { username: Secret::new(username.as_bytes().to_vec()), password };
        self.known.push(KnownCaller { name: name.to_owned(), credential });
        self
    }

    /// Adds a caller with a bearer token.
    #[must_use]
    pub fn with_bearer(mut self, name: &str, token: Secret) -> Self {
        self.known.push(KnownCaller { name: name.to_owned(), credential: Credential::Bearer(token) });
        self
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// `caller.unauthenticated` where callers are configured and none of them sent it.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Caller<'_>, Problem> {
        if self.known.is_empty() {
            return Ok(Caller::Anyone);
        }
        let refused = |found: &str| {
            let detail = format!("expected HTTP Basic or bearer credentials of a configured caller, found {found}");
            Problem::new(ErrorCode::CallerUnauthenticated, detail)
        };
        let mut values = headers.get_all(AUTHORIZATION);
        let Some(value) = values.next() else { return Err(refused("no Authorization header")) };
        if values.next().is_some() {
            return Err(refused("more than one Authorization header"));
        }
        let Some(presented) = Presented::parse(value.as_bytes()) else {
            return Err(refused("an Authorization header of another form"));
        };
        let found = self
            .known
            .iter()
            .fold(None, |found, known| if known.credential.matches(&presented) { Some(known) } else { found });
        found.map(|known| Caller::Known(&known.name)).ok_or_else(|| refused("others"))
    }
}

impl Credential {
    fn matches(&self, presented: &Presented) -> bool {
        match (self, presented) {
            (Credential::Basic { username, password }, Presented::Basic { username: name, password: word }) => {
                username.matches(name) & password.matches(word)
            }
            (Credential::Bearer(token), Presented::Bearer(presented)) => token.matches(presented),
            _ => false,
        }
    }
}

impl Presented {
    fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"basic") {
            let decoded = STANDARD.decode(rest).ok()?;
            let colon = decoded.iter().position(|byte| *byte == b':')?;
            return Some(Self::Basic { username: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec() });
        }
        scheme.eq_ignore_ascii_case(b"bearer").then(|| Self::Bearer(rest.to_vec()))
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|known| &known.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn callers() -> Callers {
        Callers::anyone()
            .with_basic("oathkeeper", "oathkeeper", Secret::new(b"pa:ss".to_vec()))
            .with_bearer("batch", Secret::new(b"t0ken".to_vec()))
    }

    #[test]
    fn each_caller_is_known_by_its_own_credentials() {
        let basic = format!("Basic {}", STANDARD.encode("oathkeeper:pa:ss"));
        assert_eq!(callers().authenticate(&headers(&[&basic])).unwrap(), Caller::Known("oathkeeper"));
        assert_eq!(callers().authenticate(&headers(&["bearer t0ken"])).unwrap(), Caller::Known("batch"));
        assert_eq!(Callers::anyone().authenticate(&headers(&[])).unwrap(), Caller::Anyone);
    }

    #[test]
    fn other_credentials_are_refused_without_being_quoted() {
        let token_as_basic = format!("Basic {}", STANDARD.encode("t0ken"));
        let password_as_bearer = "Bearer oathkeeper:pa:ss";
        for values in [
            &[][..],
            &["Bearer t0ke"],
            &["Bearer t0ken2"],
            &["Bearer"],
            &["Basic !!!"],
            &["Digest t0ken"],
            &[&token_as_basic],
            &[password_as_bearer],
            &["Bearer t0ken", "Bearer t0ken"],
        ] {
            let problem = callers().authenticate(&headers(values)).unwrap_err();
            assert_eq!(problem.code, ErrorCode::CallerUnauthenticated);
            assert!(!problem.detail.contains("t0ke") && !problem.detail.contains("pa:ss"));
        }
    }
}
