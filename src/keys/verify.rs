//! Verification of compact JWS signatures (RFC 7515 section 5.2) with a parsed JWK Set, and of token times.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::alg::{self, SignatureAlg};
use super::jwk::{self, NotAKeySet, VerifyingKey};
use super::kid::KeyId;
use crate::json::{Json, ReadLimits};
use crate::time::Timestamp;

/// A parsed JWK Set that verifies tokens. It has no private keys.
///
/// The header of a token only selects among the keys of the set: `jwk`, `jku` and `x5u` are ignored, and `none` is not
/// an algorithm.
pub struct VerifyingSet {
    keys: Vec<VerifyingKey>,
    algs: Vec<SignatureAlg>,
}

impl VerifyingSet {
    /// Parses the published key set of an issuer, which verifies tokens of the algorithms `algs` (RFC 8725 section 3.1).
    ///
    /// Members that cannot be used are skipped (RFC 7517 section 5). Symmetric keys and members with a private key are
    /// skipped too, because anyone who can read the set could sign with them.
    ///
    /// # Errors
    /// Returns [`NotAKeySet`] if the bytes are not a JWK Set.
    pub fn parse(bytes: &[u8], algs: &[SignatureAlg]) -> Result<Self, NotAKeySet> {
        let algs: Vec<_> = algs.iter().copied().filter(|alg| !alg.is_symmetric()).collect();
        let keys = usable_keys(bytes)?.filter(|key| !key.is_secret && algs.contains(&key.alg)).collect();
        Ok(Self { keys, algs })
    }

    /// Parses a key set from a trusted source, such as an operator's file. Keeps symmetric keys, and the public keys of
    /// private keys. Never use this for a set from another issuer.
    ///
    /// # Errors
    /// Returns [`NotAKeySet`] if the bytes are not a JWK Set.
    pub fn parse_trusted(bytes: &[u8]) -> Result<Self, NotAKeySet> {
        Ok(Self { keys: usable_keys(bytes)?.collect(), algs: SignatureAlg::ALL.to_vec() })
    }

    /// Returns a set without keys.
    pub fn empty(algs: &[SignatureAlg]) -> Self {
        Self { keys: Vec::new(), algs: algs.iter().copied().filter(|alg| !alg.is_symmetric()).collect() }
    }

    /// Returns `true` if the set has no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies the signature of `token`. Does not check times; see [`check_times`].
    ///
    /// # Errors
    /// Returns every variant of [`VerifyError`] except [`VerifyError::KeySet`].
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifyError::Form("three parts with dots between them"));
        };
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part);
        let header = decode(header).map_err(|_| VerifyError::Form("a header in base64url"))?;
        let Header { alg, kid, typ } = Header::parse(&header)?;
        let alg = alg.filter(|alg| self.algs.contains(alg));
        let alg = alg.ok_or_else(|| VerifyError::Algorithm { allowed: self.algs.clone() })?;
        let signature = decode(signature).map_err(|_| VerifyError::Form("a signature in base64url"))?;
        let claims = decode(payload)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(VerifyError::Form("a payload that is UTF-8 in base64url"))?;

        let is_candidate =
            |key: &&VerifyingKey| key.alg == alg && kid.as_ref().is_none_or(|kid| *kid == key.kid.as_str());
        let mut candidates = self.keys.iter().filter(is_candidate).peekable();
        let Some(first) = candidates.peek().map(|key| &key.kid) else {
            return Err(VerifyError::NoKey { alg, usable: self.keys.len() });
        };
        match candidates.find(|key| key.verifier.verify(signed, &signature).is_ok()) {
            Some(key) => Ok(VerifiedToken { kid: key.kid.clone(), alg, typ, claims }),
            None => Err(VerifyError::Signature { kid: first.clone() }),
        }
    }
}

impl fmt::Debug for VerifyingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.keys.iter().map(|key| &key.kid).collect();
        f.debug_struct("VerifyingSet").field("kids", &kids).field("algs", &self.algs).finish_non_exhaustive()
    }
}

/// Returns the members of a set that can be used.
fn usable_keys(bytes: &[u8]) -> Result<impl Iterator<Item = VerifyingKey>, NotAKeySet> {
    let members = jwk::members(bytes)?;
    Ok(members.into_iter().filter_map(|member| jwk::verifying_key(&member).ok()))
}

/// The header parameters that verification uses.
struct Header {
    /// `None` if the token does not name a supported algorithm.
    alg: Option<SignatureAlg>,
    kid: Option<String>,
    typ: Option<String>,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let header =
            Json::parse(bytes, ReadLimits::default()).map_err(|_| VerifyError::Form("a header that is JSON"))?;
        if header.member("crit").is_some() {
            return Err(VerifyError::Critical);
        }
        let alg = header.member("alg").and_then(Json::as_str).and_then(SignatureAlg::parse);
        let kid = match header.member("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(VerifyError::Form("a kid that is a string"))?.to_owned()),
        };
        let typ = header.member("typ").and_then(Json::as_str).map(str::to_owned);
        Ok(Self { alg, kid, typ })
    }
}

/// A token whose signature was verified.
#[derive(Clone)]
pub struct VerifiedToken {
    kid: KeyId,
    alg: SignatureAlg,
    typ: Option<String>,
    claims: String,
}

impl VerifiedToken {
    /// Returns the `kid` of the key that signed.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Returns the algorithm.
    pub fn alg(&self) -> SignatureAlg {
        self.alg
    }

    /// Returns the `typ` of the header. `None` if it has none, or one that is not a string.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Returns the payload.
    pub fn claims(&self) -> &str {
        &self.claims
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// The reason why a token must not be trusted. Never quotes the token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The header names no algorithm, or an algorithm that is not allowed.
    #[error("expected `alg` in the token's header to be one of {}, found another value", alg::names(allowed))]
    Algorithm {
        /// The algorithms that are allowed.
        allowed: Vec<SignatureAlg>,
    },
    /// The header requires extensions (`crit`, RFC 7515 section 4.1.11), and none is supported.
    #[error("expected no critical extensions in the token's header, found `crit`")]
    Critical,
    /// The text is not a compact JWS.
    #[error("expected a token with {0}, found one without")]
    Form(&'static str),
    /// The bytes are not a JWK Set.
    #[error(transparent)]
    KeySet(#[from] NotAKeySet),
    /// No key of the set has the `kid` and the algorithm of the token.
    #[error("expected a key for {alg} with the token's kid in the JWK Set, found {}", other_keys(*usable))]
    NoKey {
        /// The algorithm of the token.
        alg: SignatureAlg,
        /// The number of usable keys in the set.
        usable: usize,
    },
    /// The signature does not match the header, the payload and the key.
    #[error("expected a signature of key \"{kid}\", found one that this key did not make for this header and payload")]
    Signature {
        /// The key that was tried.
        kid: KeyId,
    },
}

fn other_keys(usable: usize) -> String {
    match usable {
        0 => "no usable key".to_owned(),
        1 => "one key that does not match".to_owned(),
        count => format!("{count} keys that do not match"),
    }
}

/// Verifies the signature of `token` with the trusted set `set`, which can have private keys. Does not check times; see
/// [`check_times`].
///
/// # Errors
/// Returns every variant of [`VerifyError`].
pub fn verify(token: &str, set: &[u8]) -> Result<VerifiedToken, VerifyError> {
    VerifyingSet::parse_trusted(set)?.verify(token)
}

/// The reason why a token is not valid at a time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TimeError {
    /// `exp` has passed.
    #[error("the signature is right, but the token expired at {at}")]
    Expired {
        /// The value of `exp`.
        at: Timestamp,
    },
    /// `nbf` is in the future.
    #[error("the signature is right, but the token is not valid before {at}")]
    NotYet {
        /// The value of `nbf`.
        at: Timestamp,
    },
    /// The claim is not a number.
    #[error("expected the claim `{0}` to be a number, found another type")]
    Unreadable(&'static str),
}

/// Checks `exp` and `nbf` of `claims` at `now`, with `leeway` seconds for clocks that differ (RFC 7519 section 4.1).
///
/// # Errors
/// Returns [`TimeError`] if the token is not valid at `now`.
pub fn check_times(claims: &Json<'_>, now: Timestamp, leeway: u32) -> Result<(), TimeError> {
    let time = |claim: &'static str| match claims.member(claim) {
        None => Ok(None),
        Some(Json::Number(number)) => Ok(Some(Timestamp::from_numeric_date(number.as_f64()))),
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
    use super::super::testing::{claims, kid, signing_set};
    use super::super::typ::TokenType;
    use super::super::{KeySet, generate};
    use super::*;

    /// Returns the compact form of `header` with the payload `{}` and a signature that no key made.
    fn forged(header: &str) -> String {
        format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn every_algorithm_signs_verifies_and_fails_when_altered() {
        for alg in SignatureAlg::ALL {
            let generated = generate(alg, None, &kid("k1")).unwrap();
            let set = KeySet::parse(generated.to_set().as_bytes()).unwrap();
            let key = set.signer(Timestamp::from_seconds(0), Some(alg)).unwrap();
            let zoe = claims("zoe");
            let token = key.sign(&zoe, &TokenType::JWT).unwrap();
            let verified = verify(token.as_str(), generated.to_set().as_bytes()).unwrap();
            assert_eq!((verified.alg(), verified.kid().as_str(), verified.claims()), (alg, "k1", zoe.as_str()));
            assert_eq!(verified.typ(), Some("JWT"));

            let other = key.sign(&claims("eve"), &TokenType::JWT).unwrap();
            let other_type = key.sign(&zoe, &TokenType::parse("at+jwt").unwrap()).unwrap();
            let parts: Vec<_> = token.as_str().split('.').collect();
            for forged in [
                format!("{}.{}.{}", parts[0], other.as_str().split('.').nth(1).unwrap(), parts[2]),
                format!("{}.{}.{}", other_type.as_str().split('.').next().unwrap(), parts[1], parts[2]),
            ] {
                let refused = verify(&forged, generated.to_set().as_bytes()).unwrap_err();
                assert_eq!(refused, VerifyError::Signature { kid: kid("k1") }, "{alg}");
            }
        }
    }

    #[test]
    fn a_public_set_verifies_and_a_symmetric_key_is_in_none() {
        let rsa = signing_set(SignatureAlg::Ps256, "k1");
        let signer = rsa.signer(Timestamp::from_seconds(0), None).unwrap();
        let token = signer.sign(&claims("zoe"), &TokenType::JWT).unwrap();
        assert!(verify(token.as_str(), rsa.public_set().as_bytes()).is_ok());
        assert_eq!(signing_set(SignatureAlg::Hs256, "k1").public_set(), r#"{"keys":[]}"#);
    }

    #[test]
    fn no_header_chooses_an_algorithm_that_the_key_does_not_have() {
        let public = signing_set(SignatureAlg::Rs256, "k1").public_set();
        let any = || VerifyError::Algorithm { allowed: SignatureAlg::ALL.to_vec() };
        for (header, refused) in [
            (r#"{"alg":"none","kid":"k1"}"#, any()),
            (r#"{"kid":"k1"}"#, any()),
            (r#"{"alg":"RS256","kid":"k1","crit":["b64"]}"#, VerifyError::Critical),
            (r#"{"alg":"HS256","kid":"k1"}"#, VerifyError::NoKey { alg: SignatureAlg::Hs256, usable: 1 }),
            (r#"{"alg":"RS256","kid":"k2"}"#, VerifyError::NoKey { alg: SignatureAlg::Rs256, usable: 1 }),
            (r#"{"alg":"RS256","kid":7}"#, VerifyError::Form("a kid that is a string")),
        ] {
            assert_eq!(verify(&forged(header), public.as_bytes()).unwrap_err(), refused, "{header}");
        }
        assert!(matches!(verify("a.b", public.as_bytes()), Err(VerifyError::Form(_))));
        assert!(matches!(verify("a.b.c", b"[]"), Err(VerifyError::KeySet(_))));
    }

    #[test]
    fn set_of_an_issuer_verifies_the_configured_algorithms_only() {
        let (ec, ed) = (signing_set(SignatureAlg::Es256, "ec"), signing_set(SignatureAlg::EdDsa, "ed"));
        let keys: Vec<_> = [&ec, &ed].iter().flat_map(|set| set.signing_keys()).collect();
        let published: Vec<_> = keys.iter().filter_map(|key| key.public()).map(|key| key.to_json()).collect();
        let published = format!("{{\"keys\":[{}]}}", published.join(","));
        let set = VerifyingSet::parse(published.as_bytes(), &[SignatureAlg::Es256]).unwrap();
        assert_eq!(set.keys.len(), 1);
        let tokens: Vec<_> = keys.iter().map(|key| key.sign(&claims("zoe"), &TokenType::JWT).unwrap()).collect();
        assert_eq!(set.verify(tokens[0].as_str()).unwrap().kid().as_str(), "ec");
        let refused = VerifyError::Algorithm { allowed: vec![SignatureAlg::Es256] };
        assert_eq!(set.verify(tokens[1].as_str()).unwrap_err(), refused);
        assert_eq!(set.verify(&forged(r#"{"alg":"none"}"#)).unwrap_err(), refused);
    }

    #[test]
    fn set_of_an_issuer_has_no_key_that_can_sign() {
        for alg in SignatureAlg::ALL {
            let private = generate(alg, None, &kid("k1")).unwrap();
            let set = VerifyingSet::parse(private.to_set().as_bytes(), &SignatureAlg::ALL).unwrap();
            assert!(set.keys.is_empty(), "{alg}");
            let signing = KeySet::parse(private.to_set().as_bytes()).unwrap();
            let token = signing.signing_keys().next().unwrap().sign(&claims("zoe"), &TokenType::JWT).unwrap();
            assert!(set.verify(token.as_str()).is_err(), "{alg}");
            let public = VerifyingSet::parse(signing.public_set().as_bytes(), &SignatureAlg::ALL).unwrap();
            assert_eq!(public.verify(token.as_str()).is_ok(), !alg.is_symmetric(), "{alg}");
        }
    }

    #[test]
    fn public_key_is_not_accepted_as_a_symmetric_one() {
        let rsa = signing_set(SignatureAlg::Rs256, "k1");
        let set = VerifyingSet::parse(rsa.public_set().as_bytes(), &SignatureAlg::ALL).unwrap();
        let error = set.verify(&forged(r#"{"alg":"HS256","kid":"k1"}"#)).unwrap_err();
        assert!(matches!(&error, VerifyError::Algorithm { allowed } if !allowed.contains(&SignatureAlg::Hs256)));
    }

    #[test]
    fn unusable_members_are_skipped_and_the_others_verify() {
        let set = signing_set(SignatureAlg::Es256, "k1");
        let own = set.signing_keys().next().unwrap();
        let published = format!(
            r#"{{"keys":[7,{{"kty":"quantum","kid":"q"}},{{"kty":"EC","kid":"e","use":"enc"}},{}]}}"#,
            own.public().unwrap().to_json()
        );
        let verifying = VerifyingSet::parse(published.as_bytes(), &[SignatureAlg::Es256]).unwrap();
        assert_eq!(verifying.keys.len(), 1);
        assert!(verifying.verify(own.sign(&claims("zoe"), &TokenType::JWT).unwrap().as_str()).is_ok());
        assert!(VerifyingSet::parse(b"{\"keys\":{}}", &[]).is_err());
    }

    #[test]
    fn verifying_set_does_not_show_secrets() {
        let secret = generate(SignatureAlg::Hs256, None, &kid("k1")).unwrap();
        let set: serde_json::Value = serde_json::from_str(secret.to_set()).unwrap();
        let shown = format!("{:?}", VerifyingSet::parse_trusted(secret.to_set().as_bytes()).unwrap());
        assert!(!shown.contains(set["keys"][0]["k"].as_str().unwrap()));
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
