//! What claims of a token and an introspection response have in common (RFC 7519 section 4.1, RFC 7662 section 2.2).

use std::collections::BTreeSet;

use super::Rejection;
use crate::json::Json;
use crate::time::Timestamp;

/// From when until when a token is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) issued_at: Option<Timestamp>,
}

impl Window {
    /// Checks that the token is valid at `now`. Its beginning can be `leeway` seconds ahead; its end is exact, so that
    /// nothing outlives it.
    pub(super) fn check(&self, now: Timestamp, leeway: i64) -> Result<(), Rejection> {
        let has_come = |time: Option<Timestamp>| time.is_none_or(|time| time.seconds_since(now) <= leeway);
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        if has_come(self.not_before) && has_come(self.issued_at) { Ok(()) } else { Err(Rejection::NotYetValid) }
    }
}

/// Returns the NumericDate `claim`.
///
/// # Errors
/// Returns an error if it is not a number.
pub(super) fn numeric_date(claims: &Json<'_>, claim: &str) -> Result<Option<Timestamp>, ()> {
    match claims.member(claim) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(Timestamp::from_numeric_date(number.as_f64()))),
        Some(_) => Err(()),
    }
}

/// Returns `true` if `aud`, a text or a list of texts, has one of `wanted`.
pub(super) fn has_audience(claims: &Json<'_>, wanted: &[String]) -> bool {
    let values = match claims.member("aud") {
        Some(Json::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    let is_wanted = |value: &str| wanted.iter().any(|name| name == value);
    values.iter().all(|value| value.as_str().is_some()) && values.iter().filter_map(Json::as_str).any(is_wanted)
}

/// Returns `true` if `issuer` is one of `own`, the issuers of the profiles. An issuer that differs in slashes at its end
/// counts too, because it can only be refused here.
pub(super) fn is_own_issuer(own: &BTreeSet<String>, issuer: &str) -> bool {
    let bare = |issuer: &str| issuer.trim_end_matches('/').to_owned();
    own.iter().any(|own| bare(own) == bare(issuer))
}

/// Returns `true` if the token is bound to a key (RFC 7800). Its bearer would have to prove that they have the key, and a
/// proxy does not pass such a proof on.
pub(super) fn is_bound(claims: &Json<'_>) -> bool {
    claims.member("cnf").is_some()
}
