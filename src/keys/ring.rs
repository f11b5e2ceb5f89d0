//! JWK Sets of private keys: the signing key and the published keys at a time. All functions depend only on the set and
//! the time, so that replicas with the same file agree in every second.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::alg::SignatureAlg;
use super::jwk::{self, Member, NotAKeySet};
use super::kid::KeyId;
use super::period::KeyState;
use super::public_jwk::PublicJwk;
use super::signing::SigningKey;
use crate::json::Json;
use crate::time::{Timestamp, Ttl};

/// A JWK Set with at least one key that can sign.
#[derive(Debug)]
pub struct KeySet {
    signing: Vec<Arc<SigningKey>>,
    public: Vec<PublicJwk>,
    skipped: Vec<SkippedKey>,
    notes: Vec<String>,
}

/// A member of a set that cannot be used, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// The index in the set, from 0.
    pub index: usize,
    /// The `kid`, if the member has one.
    pub kid: Option<KeyId>,
    /// The expected and the found value, without key material.
    pub reason: String,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}]", self.index)?;
        if let Some(kid) = &self.kid {
            write!(f, " (kid \"{kid}\")")?;
        }
        write!(f, " is skipped: {}", self.reason)
    }
}

/// The reason why a JWK Set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// Two different keys have the same `kid`.
    #[error("expected different keys to have different kids, found two keys called \"{0}\"; rename one")]
    DuplicateKid(KeyId),
    /// No key can sign.
    #[error("{}", no_signing_key(skipped, *public))]
    NoSigningKey {
        /// The members that cannot be used.
        skipped: Vec<SkippedKey>,
        /// The number of usable public keys.
        public: usize,
    },
    /// The bytes are not a JWK Set.
    #[error(transparent)]
    NotASet(#[from] NotAKeySet),
}

fn no_signing_key(skipped: &[SkippedKey], public: usize) -> String {
    const GENERATE: &str = "generate one in a new file: claimsmith keys generate --out FILE";
    let rest = match (public, skipped) {
        (0, []) => format!("none; {GENERATE}"),
        (0, _) => format!("none that is valid; correct these members, or {GENERATE}"),
        _ => format!("public keys, which cannot sign; use the file with their private keys, or {GENERATE}"),
    };
    let mut message = format!("expected a private key that can sign, found {rest}");
    message.extend(skipped.iter().map(|key| format!("\n  {key}")));
    message
}

/// No key can sign at a time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.message())]
pub struct NoSigner {
    alg: Option<SignatureAlg>,
    next: Option<Timestamp>,
}

impl NoSigner {
    fn message(&self) -> String {
        let alg = self.alg.map_or_else(String::new, |alg| format!("for {alg} "));
        let next = self.next.map_or_else(String::new, |next| format!("; the next one starts at {next}"));
        format!("expected a key {alg}whose nbf has come and whose exp has not, found none{next}")
    }
}

impl KeySet {
    /// Parses a JWK Set (RFC 7517 section 5).
    ///
    /// A set can have private keys, their public keys and other public keys. Members that cannot be used are skipped;
    /// [`KeySet::skipped`] returns the reasons.
    ///
    /// # Errors
    /// Returns [`KeySetError`] if the bytes are not a JWK Set, if no key can sign, or if two different keys have the same
    /// `kid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let mut set = Self { signing: Vec::new(), public: Vec::new(), skipped: Vec::new(), notes: Vec::new() };
        for (index, key) in jwk::members(bytes)?.iter().enumerate() {
            match jwk::parse(key, &mut set.notes) {
                Ok(Member::Signing(key)) => set.signing.push(Arc::new(*key)),
                Ok(Member::Public(key)) => set.public.push(key),
                Err(reason) => {
                    let kid = key.member("kid").and_then(Json::as_str).and_then(|kid| KeyId::parse(kid).ok());
                    set.skipped.push(SkippedKey { index, kid, reason });
                }
            }
        }
        if let Some(kid) = set.ambiguous_kid() {
            return Err(KeySetError::DuplicateKid(kid));
        }
        if set.signing.is_empty() {
            return Err(KeySetError::NoSigningKey { skipped: set.skipped, public: set.public.len() });
        }
        Ok(set)
    }

    /// Returns the keys that can sign, in the order of the set.
    pub fn signing_keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.signing.iter().map(Arc::as_ref)
    }

    /// Returns the members that are public keys, in the order of the set.
    pub(crate) fn public_keys(&self) -> impl Iterator<Item = &PublicJwk> {
        self.public.iter()
    }

    /// Returns the members that cannot be used.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Returns the assumptions that were made, for the operator.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the active key with the latest `nbf` at `now`, limited to `alg` if given. The last key wins a tie, as in
    /// Oathkeeper, so that the signing key of files without times is the same.
    ///
    /// # Errors
    /// Returns [`NoSigner`] if no key is active.
    pub fn signer(&self, now: Timestamp, alg: Option<SignatureAlg>) -> Result<&Arc<SigningKey>, NoSigner> {
        let candidates = || self.signing.iter().filter(|key| alg.is_none_or(|alg| key.alg() == alg));
        let active = candidates().filter(|key| key.state(now) == KeyState::Active);
        active.max_by_key(|key| key.not_before()).ok_or_else(|| NoSigner {
            alg,
            next: candidates()
                .filter(|key| key.state(now) == KeyState::Pending)
                .filter_map(|key| key.not_before())
                .min(),
        })
    }

    /// Returns the next time after `now` at which the signing key changes, and the key that signs from then on. The key
    /// is `None` if no key is active then. Returns `None` if the signing key does not change.
    pub(crate) fn next_change(
        &self,
        now: Timestamp,
        alg: Option<SignatureAlg>,
    ) -> Option<(Timestamp, Option<&SigningKey>)> {
        let signer = |time| self.signer(time, alg).ok();
        let current = signer(now).map(|key| key.kid());
        let mut times: Vec<Timestamp> = self
            .signing
            .iter()
            .flat_map(|key| [key.not_before(), key.expires_at()])
            .flatten()
            .filter(|time| *time > now)
            .collect();
        times.sort_unstable();
        let changes = times.into_iter().map(|time| (time, signer(time).map(Arc::as_ref)));
        changes.into_iter().find(|(_, next)| next.map(SigningKey::kid) != current)
    }

    /// Returns the public keys that verifiers need at `now`, each `kid` once. These are active keys, pending keys, and
    /// keys with a token that can still be valid. Symmetric keys are never published.
    pub fn published(&self, now: Timestamp, longest_ttl: Ttl) -> Vec<&PublicJwk> {
        let (mut published, mut seen) = (Vec::new(), HashSet::new());
        // If the set has a private and a public member of a key, the times of the private member count.
        let private: HashSet<&KeyId> = self.signing.iter().map(|key| key.kid()).collect();
        let public_only = self.public.iter().filter(|key| !private.contains(key.kid()));
        for key in self.signing.iter().filter_map(|key| key.public()).chain(public_only) {
            let is_needed = key.period.publication_end(longest_ttl).is_none_or(|end| now < end);
            if is_needed && seen.insert(key.kid()) {
                published.push(key);
            }
        }
        published
    }

    /// Returns all public keys, regardless of their times, as a JWK Set.
    pub fn public_set(&self) -> String {
        let mut seen = HashSet::new();
        let keys = self.signing.iter().filter_map(|key| key.public()).chain(&self.public);
        let texts: Vec<String> = keys.filter(|key| seen.insert(key.kid())).map(PublicJwk::to_json).collect();
        format!("{{\"keys\":[{}]}}", texts.join(","))
    }

    /// Returns a `kid` that two different keys have, so that verifiers cannot distinguish them.
    fn ambiguous_kid(&self) -> Option<KeyId> {
        type Half<'k> = (SignatureAlg, Option<&'k PublicJwk>, bool);
        let mut named: HashMap<&KeyId, Vec<Half<'_>>> = HashMap::new();
        let private = self.signing.iter().map(|key| (key.kid(), (key.alg(), key.public(), true)));
        let public = self.public.iter().map(|key| (key.kid(), (key.alg(), Some(key), false)));
        for (kid, key) in private.chain(public) {
            let others = named.entry(kid).or_default();
            for other in others.iter() {
                let is_same = other.0 == key.0
                    && !(other.2 && key.2)
                    && matches!((other.1, key.1), (Some(left), Some(right)) if left.is_same_key(right));
                if !is_same {
                    return Some(kid.clone());
                }
            }
            // All members with one `kid` are the same key, so it is enough to compare with one private and one public
            // member.
            if others.len() < 2 {
                others.push(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::super::testing::kid;
    use super::*;
    use std::time::Duration;

    /// Returns a set of ES256 keys, each given as `kid`, `nbf` and `exp`.
    fn set(keys: &[(&str, Option<i64>, Option<i64>)]) -> KeySet {
        let members: Vec<String> = keys
            .iter()
            .map(|(kid, nbf, exp)| {
                let mut key = member(SignatureAlg::Es256, kid);
                for (name, time) in [("nbf", nbf), ("exp", exp)] {
                    if let Some(time) = time {
                        key.insert(name.to_owned(), (*time).into());
                    }
                }
                serde_json::to_string(&key).unwrap()
            })
            .collect();
        KeySet::parse(format!("{{\"keys\":[{}]}}", members.join(",")).as_bytes()).unwrap()
    }

    fn member(alg: SignatureAlg, id: &str) -> serde_json::Map<String, serde_json::Value> {
        let generated = generate(alg, None, &kid(id)).unwrap();
        let set: serde_json::Value = serde_json::from_str(generated.to_set()).unwrap();
        set["keys"][0].as_object().unwrap().clone()
    }

    fn parse(members: &[serde_json::Map<String, serde_json::Value>]) -> Result<KeySet, KeySetError> {
        KeySet::parse(serde_json::json!({ "keys": members }).to_string().as_bytes())
    }

    fn public_of(
        member: &serde_json::Map<String, serde_json::Value>,
        kid: &str,
    ) -> serde_json::Map<String, serde_json::Value> {
        let mut public = member.clone();
        public.remove("d");
        public.insert("kid".to_owned(), kid.into());
        public
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn hour() -> Ttl {
        Ttl::new(Duration::from_secs(3600)).unwrap()
    }

    #[test]
    fn the_active_key_with_the_latest_start_signs() {
        let set = set(&[("b", Some(100), None), ("a", None, None), ("c", Some(200), Some(300))]);
        let signer = |now| set.signer(at(now), None).map(|key| key.kid().as_str().to_owned()).unwrap();
        assert_eq!(
            (signer(0), signer(100), signer(200), signer(300)),
            ("a".into(), "b".into(), "c".into(), "b".into())
        );
    }

    #[test]
    fn among_keys_without_times_the_last_of_the_set_signs_under_its_own_kid() {
        let set = set(&[("first", None, None), ("last", None, None)]);
        assert_eq!(set.signer(at(0), None).unwrap().kid().as_str(), "last");
    }

    #[test]
    fn without_an_active_key_the_error_says_when_the_next_starts() {
        let set = set(&[("a", Some(100), None)]);
        let message = set.signer(at(0), None).unwrap_err().to_string();
        assert!(message.ends_with("the next one starts at 1970-01-01T00:01:40Z"), "{message}");
        assert!(set.signer(at(100), Some(SignatureAlg::Rs256)).unwrap_err().to_string().contains("RS256"));
    }

    #[test]
    fn a_key_is_published_ahead_and_until_its_last_token_has_expired() {
        let set = set(&[("old", None, Some(100)), ("next", Some(50), None)]);
        let published = |now: i64| -> Vec<_> {
            set.published(at(now), hour()).into_iter().map(|key| key.kid().as_str().to_owned()).collect()
        };
        assert_eq!(published(0), ["old", "next"]);
        assert_eq!(published(100 + 3599), ["old", "next"]);
        assert_eq!(published(100 + 3600), ["next"]);
        assert_eq!(set.signing_keys().next().unwrap().publication_end(hour()), Some(at(3700)));
    }

    #[test]
    fn the_next_change_of_the_signing_key_is_foretold() {
        let set = set(&[("a", None, Some(150)), ("b", Some(100), Some(200)), ("c", Some(300), None)]);
        let next = |now| set.next_change(at(now), None).map(|(time, key)| (time, key.map(|key| key.kid().as_str())));
        assert_eq!(next(0), Some((at(100), Some("b"))));
        assert_eq!(next(100), Some((at(200), None)));
        assert_eq!(next(200), Some((at(300), Some("c"))));
        assert_eq!(next(300), None);
    }

    #[test]
    fn pairs_with_distinct_kids_sign_under_the_private_one_and_publish_both() {
        let private = member(SignatureAlg::Es256, "private:x");
        let public = public_of(&private, "public:x");
        for members in [[private.clone(), public.clone()], [public, private]] {
            let set = parse(&members).unwrap();
            assert_eq!(set.signer(at(0), None).unwrap().kid().as_str(), "private:x");
            let kids: Vec<_> = set.published(at(0), hour()).into_iter().map(|key| key.kid().as_str()).collect();
            assert_eq!(kids, ["private:x", "public:x"]);
        }
    }

    #[test]
    fn one_bad_member_is_skipped_and_named_and_the_others_work() {
        let good = member(SignatureAlg::Es256, "good");
        let mut encrypting = member(SignatureAlg::Es256, "encrypting");
        encrypting.insert("use".to_owned(), "enc".into());
        let mut mismatched = member(SignatureAlg::Es256, "mismatched");
        mismatched.insert("d".to_owned(), good["d"].clone());
        let mut wrong_alg = member(SignatureAlg::Es256, "wrong-alg");
        wrong_alg.insert("alg".to_owned(), "RS256".into());
        let mut short = member(SignatureAlg::Hs256, "short");
        short.insert("k".to_owned(), "c2hvcnQ".into());
        let mut nameless = member(SignatureAlg::Es256, "x");
        nameless.remove("kid");
        let set = parse(&[encrypting, mismatched, wrong_alg, short, nameless, good]).unwrap();
        let reasons: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
        assert_eq!(reasons.len(), 5);
        for (reason, part) in reasons.iter().zip(["\"sig\"", "belong together", "type RSA", "256 bits", "thumbprint"]) {
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn a_set_that_cannot_be_used_says_what_was_expected() {
        let refused = |text: &str| KeySet::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(refused("{\"kty\":\"EC\"}").contains("a single JWK"));
        assert!(
            refused("\n-----BEGIN PRIVATE KEY-----\n").contains("found PEM: `claimsmith keys add SET --from FILE`")
        );
        assert!(refused("[]").contains("found an array"));
        assert!(refused("{\"keys\":{}}").contains("`keys` to be an object"));
        assert!(refused("{\"kid\":\"a\"}").contains("an object without `keys`"));
        assert!(refused("{\"keys\":[]}").contains("keys generate"));
        assert!(refused("{").contains("line 1"));
        let one = member(SignatureAlg::Es256, "same");
        let two = member(SignatureAlg::Es256, "same");
        assert_eq!(parse(&[one.clone(), two]).unwrap_err(), KeySetError::DuplicateKid(kid("same")));
        assert!(parse(&[one.clone(), public_of(&one, "same")]).is_ok());
        assert!(matches!(parse(&[public_of(&one, "same")]), Err(KeySetError::NoSigningKey { public: 1, .. })));
        assert!(parse(&[public_of(&one, "same")]).unwrap_err().to_string().contains("found public keys"));
    }

    #[test]
    fn rsa_keys_have_2048_to_16384_bits() {
        use base64::Engine as _;
        let refused = |bits: usize| {
            let mut modulus = vec![0xff; bits.div_ceil(8)];
            modulus[0] >>= bits.next_multiple_of(8) - bits;
            let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(modulus);
            let key = serde_json::json!({"kty": "RSA", "kid": "r", "alg": "RS256", "n": n, "e": "AQAB"});
            KeySet::parse(serde_json::json!({ "keys": [key] }).to_string().as_bytes()).unwrap_err().to_string()
        };
        assert!(refused(2047).contains("at least 2048 bits, found 2047"), "{}", refused(2047));
        assert!(refused(16385).contains("at most 16384 bits, found 16385"), "{}", refused(16385));
        for right in [2048, 2049, 16384] {
            assert!(!refused(right).contains("bits, found"), "{}", refused(right));
        }
    }

    #[test]
    fn a_missing_alg_is_inferred_and_said() {
        let mut key = member(SignatureAlg::Es384, "a");
        key.remove("alg");
        let set = parse(&[key]).unwrap();
        assert_eq!(set.signer(at(0), None).unwrap().alg(), SignatureAlg::Es384);
        assert!(set.notes()[0].contains("ES384"), "{:?}", set.notes());
    }

    #[test]
    fn nothing_private_shows_in_debug_or_in_what_is_published() {
        for alg in SignatureAlg::ALL {
            let member = member(alg, "a");
            let set = parse(std::slice::from_ref(&member)).unwrap();
            let shown = format!("{set:?}{}", set.public_set());
            for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                if let Some(value) = member.get(name) {
                    assert!(!shown.contains(value.as_str().unwrap()), "{alg} shows {name}");
                }
            }
        }
    }
}
