//! Why a credential has no session.

use crate::keys::VerifyError;

/// Why a credential has no session, for the operator. Clients never learn it, because it helps to forge a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The signature algorithm is not one of the configured ones.
    Algorithm,
    /// `aud` has none of the configured audiences.
    Audience,
    /// The token is bound to a key, and its bearer cannot prove here that they have it.
    Bound,
    /// The token has expired.
    Expired,
    /// The source reports that there is no valid session.
    Inactive,
    /// `iss` is not the configured issuer, or is an issuer that the source does not accept.
    Issuer,
    /// The credential or its claims cannot be read, or a required claim is missing.
    Malformed,
    /// `nbf` or `iat` has not come.
    NotYetValid,
    /// The check has no source for such a token.
    NoSource,
    /// The key did not make the signature for this token.
    Signature,
    /// The claims have no subject.
    Subject,
    /// The token is for another purpose.
    Type,
    /// The issuer has no key with the `kid` and the algorithm of the token.
    UnknownKey,
}

impl Rejection {
    /// Returns the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Rejection::Algorithm => "algorithm",
            Rejection::Audience => "audience",
            Rejection::Bound => "bound",
            Rejection::Expired => "expired",
            Rejection::Inactive => "inactive",
            Rejection::Issuer => "issuer",
            Rejection::Malformed => "malformed",
            Rejection::NotYetValid => "not_yet_valid",
            Rejection::NoSource => "no_source",
            Rejection::Signature => "signature",
            Rejection::Subject => "subject",
            Rejection::Type => "type",
            Rejection::UnknownKey => "unknown_key",
        }
    }

    /// Returns `true` if it is part of the usual traffic: every session ends at some time.
    pub fn is_usual(self) -> bool {
        matches!(self, Rejection::Expired | Rejection::Inactive)
    }
}

impl From<&VerifyError> for Rejection {
    fn from(error: &VerifyError) -> Self {
        match error {
            VerifyError::Algorithm { .. } => Rejection::Algorithm,
            VerifyError::Critical | VerifyError::Form(_) | VerifyError::KeySet(_) => Rejection::Malformed,
            VerifyError::NoKey { .. } => Rejection::UnknownKey,
            VerifyError::Signature { .. } => Rejection::Signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_documented_and_has_a_label_of_its_own() {
        let all = [
            Rejection::Algorithm,
            Rejection::Audience,
            Rejection::Bound,
            Rejection::Expired,
            Rejection::Inactive,
            Rejection::Issuer,
            Rejection::Malformed,
            Rejection::NotYetValid,
            Rejection::NoSource,
            Rejection::Signature,
            Rejection::Subject,
            Rejection::Type,
            Rejection::UnknownKey,
        ];
        let line = include_str!("../../docs/operations.md").lines().find(|line| line.contains("session_rejections"));
        let mut labels: Vec<_> = all.iter().map(|rejection| rejection.as_str()).collect();
        assert!(labels.iter().all(|label| line.unwrap_or_default().contains(&format!("`{label}`"))), "{line:?}");
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), all.len());
    }
}
