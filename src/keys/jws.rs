//! Compact JWS (RFC 7515 section 3.1): signing, and what a verifier does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::{self, Member, ReadMember};
use super::{KeyId, SignatureAlg, SigningKey};
use crate::json::{Json, JsonError, ReadLimits};
use crate::time::Timestamp;

/// A signed token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct CompactJws(String);

impl CompactJws {
    /// The token as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CompactJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompactJws({} bytes)", self.0.len())
    }
}

/// A key refused to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignError {
    kid: KeyId,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected key \"{}\" to sign, found that it failed", self.kid)
    }
}

impl std::error::Error for SignError {}

/// The least time that a signature of a key was seen to take.
#[derive(Debug)]
pub(super) struct Pace(AtomicU64);

/// A signature that takes longer is better made apart from the threads that answer requests.
const LONG: Duration = Duration::from_millis(1);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl SigningKey {
    /// Takes note of how long a signature took, for [`SigningKey::is_slow`].
    pub fn note_pace(&self, taken: Duration) {
        self.pace.0.fetch_min(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether no signature was seen to take less than a millisecond; not before one was seen.
    pub fn is_slow(&self) -> bool {
        let least = self.pace.0.load(Ordering::Relaxed);
        least != u64::MAX && Duration::from_nanos(least) > LONG
    }

    /// Signs `claims`, which becomes the payload byte for byte, under the header `alg`, this key's `kid`, `typ: JWT`.
    ///
    /// # Errors
    /// [`SignError`] where the primitive fails, which no input should make it do.
    pub fn sign(&self, claims: &str) -> Result<CompactJws, SignError> {
        let signature_bytes = self.signer.signature_len();
        let mut token = String::with_capacity(self.header.len() + (claims.len() + signature_bytes) * 4 / 3 + 8);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signer.sign(token.as_bytes()).map_err(|_| SignError { kid: self.kid.clone() })?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(CompactJws(token))
    }
}

impl SigningKey {
    /// The header of every token that it signs, as JSON text.
    pub fn header(&self) -> String {
        let bytes = URL_SAFE_NO_PAD.decode(&self.header).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// How many bytes the token with the payload `claims` has, without signing it.
    pub fn token_length(&self, claims: &str) -> usize {
        let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
        self.header.len() + encoded(claims.len()) + encoded(self.signer.signature_len()) + "..".len()
    }
}

/// What a token says, after its signature was found right.
#[derive(Clone)]
pub struct VerifiedToken {
    kid: KeyId,
    alg: SignatureAlg,
    claims: String,
}

impl VerifiedToken {
    /// The key that signed.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The algorithm.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// The payload.
    pub fn claims(&self) -> &str {
        &self.claims
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// Why a token is not to be trusted. Never quotes the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// The header names an algorithm that is not known here, or none.
    Algorithm,
    /// The header asks for extensions that are not known here (`crit`, RFC 7515 section 4.1.11).
    Critical,
    /// The text has not the form of a compact JWS.
    Form(&'static str),
    /// The set is no JWK Set.
    KeySet(String),
    /// No key of the set has that `kid` and algorithm.
    NoKey {
        /// The algorithm that was looked for.
        alg: SignatureAlg,
        /// What the set has.
        found: String,
    },
    /// The signature is not that of the key over this header and payload.
    Signature {
        /// The key that was tried.
        kid: KeyId,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Algorithm => {
                write!(
                    f,
                    "expected alg in the token's header to be one of {}, found another",
                    SignatureAlg::NAMES.join(", ")
                )
            }
            VerifyError::Critical => f.write_str("expected no critical extensions in the token's header, found `crit`"),
            VerifyError::Form(expected) => write!(f, "expected {expected}, found something else in the token"),
            VerifyError::KeySet(message) => write!(f, "the JWK Set cannot be used: {message}"),
            VerifyError::NoKey { alg, found } => {
                write!(f, "expected a key for {alg} with the token's kid in the JWK Set, found {found}")
            }
            VerifyError::Signature { kid } => {
                write!(f, "expected a signature of key \"{kid}\", found one that it did not make")
            }
        }
    }
}

impl std::error::Error for VerifyError {}

/// Verifies the signature of `token` with the keys in `set`, which may be public or private, and returns what it says.
/// Times are not looked at: see [`check_times`]. The token's header chooses among keys of the set and nothing else:
/// `jwk`, `jku`, `x5u` are ignored, `none` is no algorithm.
///
/// # Errors
/// Every variant of [`VerifyError`].
pub fn verify(token: &str, set: &[u8]) -> Result<VerifiedToken, VerifyError> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(VerifyError::Form("three parts with dots between them"));
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part);
    let header_bytes = decode(header).map_err(|_| VerifyError::Form("a header in base64url"))?;
    let header_json = Json::parse(&header_bytes, ReadLimits::default())
        .map_err(|_: JsonError| VerifyError::Form("a header that is JSON"))?;
    if header_json.member("crit").is_some() {
        return Err(VerifyError::Critical);
    }
    let alg =
        header_json.member("alg").and_then(Json::as_str).and_then(SignatureAlg::parse).ok_or(VerifyError::Algorithm)?;
    let kid = match header_json.member("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(VerifyError::Form("a kid that is a string"))?),
    };
    let signature = decode(signature).map_err(|_| VerifyError::Form("a signature in base64url"))?;
    let claims = decode(payload)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(VerifyError::Form("a payload that is UTF-8 in base64url"))?;

    let members = members(set)?;
    let is_asked_for = |key: &Member| key.alg() == alg && kid.is_none_or(|kid| kid == key.kid().as_str());
    let candidates: Vec<_> = members.iter().filter(|read| is_asked_for(&read.member)).collect();
    let Some(first) = candidates.first() else {
        let found = match members.len() {
            0 => "no usable key".to_owned(),
            count => format!("{count} others"),
        };
        return Err(VerifyError::NoKey { alg, found });
    };
    let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
    match candidates.iter().find(|read| read.verifier.verify(signed, &signature).is_ok()) {
        Some(read) => Ok(VerifiedToken { kid: read.member.kid().clone(), alg, claims }),
        None => Err(VerifyError::Signature { kid: first.member.kid().clone() }),
    }
}

/// Every usable member of a set; the others are passed over, as RFC 7517 section 5 asks.
fn members(set: &[u8]) -> Result<Vec<ReadMember>, VerifyError> {
    let set = Json::parse(set, ReadLimits::default()).map_err(|error| VerifyError::KeySet(error.to_string()))?;
    let Some(Json::Array(keys)) = set.member("keys") else {
        return Err(VerifyError::KeySet("expected an object with the member `keys`, an array, found none".to_owned()));
    };
    Ok(keys.iter().filter_map(|key| jwk::parse(key, &mut Vec::new()).ok()).collect())
}

/// A token that is not valid now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// `exp` has passed.
    Expired {
        /// The end of the token.
        at: Timestamp,
    },
    /// `nbf` has not come.
    NotYet {
        /// The start of the token.
        at: Timestamp,
    },
    /// A time is no number.
    Unreadable(&'static str),
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeError::Expired { at } => write!(f, "the signature is right, but the token expired at {at}"),
            TimeError::NotYet { at } => write!(f, "the signature is right, but the token is not valid before {at}"),
            TimeError::Unreadable(claim) => {
                write!(f, "expected the claim `{claim}` to be a number, found another type")
            }
        }
    }
}

impl std::error::Error for TimeError {}

/// Checks `exp` and `nbf` of `claims` at `now`, with `leeway` seconds for clocks that differ (RFC 7519 section 4.1).
///
/// # Errors
/// [`TimeError`]
pub fn check_times(claims: &Json<'_>, now: Timestamp, leeway: u32) -> Result<(), TimeError> {
    let time = |claim: &'static str| match claims.member(claim) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(Timestamp::from_seconds(number.as_f64().floor() as i64))),
        Some(_) => Err(TimeError::Unreadable(claim)),
    };
    let leeway = i64::from(leeway);
    match (time("exp")?, time("nbf")?) {
        (Some(at), _) if now.seconds_since(at) >= leeway.max(0) && now >= at => Err(TimeError::Expired { at }),
        (_, Some(at)) if at.seconds_since(now) > leeway => Err(TimeError::NotYet { at }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeySet, generate};
    use super::*;

    fn set(alg: SignatureAlg) -> KeySet {
        KeySet::parse(generate(alg, None, &KeyId::new("k1")).unwrap().to_set().as_bytes()).unwrap()
    }

    #[test]
    fn every_algorithm_signs_verifies_and_fails_when_altered() {
        for alg in SignatureAlg::ALL {
            let generated = generate(alg, None, &KeyId::new("k1")).unwrap();
            let set = KeySet::parse(generated.to_set().as_bytes()).unwrap();
            let key = set.signer(Timestamp::from_seconds(0), Some(alg)).unwrap();
            let token = key.sign(r#"{"sub":"zoe"}"#).unwrap();
            assert_eq!(key.token_length(r#"{"sub":"zoe"}"#), token.as_str().len(), "{alg}");
            assert_eq!(key.header(), format!(r#"{{"alg":"{alg}","kid":"k1","typ":"JWT"}}"#));
            let verified = verify(token.as_str(), generated.to_set().as_bytes()).unwrap();
            assert_eq!((verified.alg(), verified.kid().as_str(), verified.claims()), (alg, "k1", r#"{"sub":"zoe"}"#));

            let header = String::from_utf8(URL_SAFE_NO_PAD.decode(token.as_str().split('.').next().unwrap()).unwrap());
            assert_eq!(header.unwrap(), format!(r#"{{"alg":"{alg}","kid":"k1","typ":"JWT"}}"#));
            let other = key.sign(r#"{"sub":"eve"}"#).unwrap();
            let parts: Vec<_> = token.as_str().split('.').collect();
            let forged = format!("{}.{}.{}", parts[0], other.as_str().split('.').nth(1).unwrap(), parts[2]);
            let refused = verify(&forged, generated.to_set().as_bytes()).unwrap_err();
            assert_eq!(refused, VerifyError::Signature { kid: KeyId::new("k1") }, "{alg}");
        }
    }

    #[test]
    fn a_public_set_verifies_and_a_symmetric_key_is_in_none() {
        let rsa = set(SignatureAlg::Ps256);
        let token = rsa.signer(Timestamp::from_seconds(0), None).unwrap().sign("{}").unwrap();
        assert!(verify(token.as_str(), rsa.public_set().as_bytes()).is_ok());
        assert_eq!(set(SignatureAlg::Hs256).public_set(), r#"{"keys":[]}"#);
    }

    #[test]
    fn no_header_chooses_an_algorithm_that_the_key_does_not_have() {
        let rsa = generate(SignatureAlg::Rs256, None, &KeyId::new("k1")).unwrap();
        let public = KeySet::parse(rsa.to_set().as_bytes()).unwrap().public_set();
        let forge = |header: &str| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
        for (header, refused) in [
            (r#"{"alg":"none","kid":"k1"}"#, VerifyError::Algorithm),
            (r#"{"kid":"k1"}"#, VerifyError::Algorithm),
            (r#"{"alg":"RS256","kid":"k1","crit":["b64"]}"#, VerifyError::Critical),
            (
                r#"{"alg":"HS256","kid":"k1"}"#,
                VerifyError::NoKey { alg: SignatureAlg::Hs256, found: "1 others".to_owned() },
            ),
            (
                r#"{"alg":"RS256","kid":"k2"}"#,
                VerifyError::NoKey { alg: SignatureAlg::Rs256, found: "1 others".to_owned() },
            ),
        ] {
            assert_eq!(verify(&forge(header), public.as_bytes()).unwrap_err(), refused, "{header}");
        }
        assert!(matches!(verify("a.b", public.as_bytes()), Err(VerifyError::Form(_))));
    }

    #[test]
    fn times_are_checked_with_leeway() {
        let check = |claims: &str, now, leeway| {
            let claims = Json::parse(claims.as_bytes(), ReadLimits::default()).unwrap();
            check_times(&claims, Timestamp::from_seconds(now), leeway)
        };
        assert_eq!(check(r#"{"exp":100,"nbf":50}"#, 99, 0), Ok(()));
        assert_eq!(check(r#"{"exp":100}"#, 100, 0), Err(TimeError::Expired { at: Timestamp::from_seconds(100) }));
        assert_eq!(check(r#"{"exp":100}"#, 100, 1), Ok(()));
        assert_eq!(check(r#"{"nbf":50}"#, 49, 0), Err(TimeError::NotYet { at: Timestamp::from_seconds(50) }));
        assert_eq!(check(r#"{"exp":"soon"}"#, 0, 0), Err(TimeError::Unreadable("exp")));
        assert_eq!(check("{}", 0, 0), Ok(()));
    }

    /// RFC 8037 appendix A.4 and A.5.
    #[test]
    fn the_ed25519_example_of_rfc_8037_verifies() {
        let set =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(verify(token, set.as_bytes()).unwrap().claims(), "Example of Ed25519 signing");
    }

    /// RFC 7515 appendix A.1 and A.3.
    #[test]
    fn the_hmac_and_ecdsa_examples_of_rfc_7515_verify() {
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let hmac = r#"{"keys":[{"kty":"oct","kid":"h","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
        let token =
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert!(verify(&token, hmac.as_bytes()).is_ok());
        let ec = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        let token = format!(
            "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        assert!(verify(&token, ec.as_bytes()).unwrap().claims().contains("\"joe\""));
    }
}
