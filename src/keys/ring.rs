//! A JWK Set as a whole: what it holds, which key signs at a time, what is published at a time. Pure functions of the
//! set and the time, so that every replica with the same file does the same in the same second.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::SignatureAlg;
use super::jwk::{self, KeyId, Member, Period, PublicJwk, SigningKey};
use crate::json::{Json, ReadLimits};
use crate::time::{Timestamp, Ttl};

/// A JWK Set with at least one key that can sign.
#[derive(Debug)]
pub struct KeySet {
    signing: Vec<Arc<SigningKey>>,
    public: Vec<PublicJwk>,
    skipped: Vec<SkippedKey>,
    notes: Vec<String>,
}

/// A member of a set that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub kid: Option<KeyId>,
    /// What was expected and what was found; no key material.
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

/// Why a JWK Set cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetError {
    /// Two keys of different material have the same name.
    DuplicateKid(KeyId),
    /// No key of it can sign.
    NoSigningKey {
        /// Why not, key by key.
        skipped: Vec<SkippedKey>,
        /// How many are in order and public.
        public: usize,
    },
    /// The bytes are no JWK Set.
    NotASet(String),
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySetError::DuplicateKid(kid) => {
                write!(f, "expected different keys to have different kids, found two keys called \"{kid}\": rename one")
            }
            KeySetError::NoSigningKey { skipped, public } => {
                let found = match public {
                    0 => "none",
                    _ => "public keys, which sign nothing: this may be the published half of another file",
                };
                write!(f, "expected a private key that can sign, found {found}; make one: claimsmith keys generate")?;
                skipped.iter().try_for_each(|key| write!(f, "\n  {key}"))
            }
            KeySetError::NotASet(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for KeySetError {}

/// What a key does at a time: a function of its `nbf` and `exp`, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It may sign.
    Active,
    /// Its `nbf` has not come; it is published already.
    Pending,
    /// Its `exp` has passed; it signs no more.
    Retired,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            KeyState::Active => "active",
            KeyState::Pending => "pending",
            KeyState::Retired => "retired",
        })
    }
}

/// No key may sign now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSigner {
    alg: Option<SignatureAlg>,
    next: Option<Timestamp>,
}

impl fmt::Display for NoSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a key ")?;
        if let Some(alg) = self.alg {
            write!(f, "for {alg} ")?;
        }
        f.write_str("whose nbf has come and whose exp has not, found none")?;
        self.next.map_or(Ok(()), |next| write!(f, "; the next one starts at {next}"))
    }
}

impl std::error::Error for NoSigner {}

impl Period {
    fn state(self, now: Timestamp) -> KeyState {
        if self.expires_at.is_some_and(|end| now >= end) {
            KeyState::Retired
        } else if self.not_before.is_some_and(|start| now < start) {
            KeyState::Pending
        } else {
            KeyState::Active
        }
    }

    /// Until when verifiers need the key: until the last token that it may have signed has expired.
    fn publication_end(self, longest_ttl: Ttl) -> Option<Timestamp> {
        self.expires_at.map(|end| end.plus(longest_ttl))
    }
}

impl SigningKey {
    /// What it does at `now`.
    pub fn state(&self, now: Timestamp) -> KeyState {
        self.period.state(now)
    }

    /// From when on it signs, if there is a bound.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.period.not_before
    }

    /// Until when it is published, if that has an end, where a token lives for `longest_ttl` at most; no token that it
    /// signs may live longer.
    pub fn publication_end(&self, longest_ttl: Ttl) -> Option<Timestamp> {
        self.period.publication_end(longest_ttl)
    }

    /// Until when it signs, if there is a bound.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.period.expires_at
    }
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5). Private-only files, private and public entries side by side, and public
    /// entries alone all are taken; a member that cannot be used is skipped, with its reason in [`KeySet::skipped`].
    ///
    /// # Errors
    /// [`KeySetError`] where the bytes are no set, nothing in it can sign, or a `kid` names two different keys.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let not_a_set = |found: &str| {
            KeySetError::NotASet(format!(
                "expected a JWK Set, an object with the member `keys`, an array, found {found}"
            ))
        };
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN ") {
            let found = "PEM: `claimsmith keys add SET --from FILE` takes its key into a set";
            return Err(not_a_set(found));
        }
        let document = Json::parse(bytes, ReadLimits { depth: 16 })
            .map_err(|error| KeySetError::NotASet(format!("expected a JWK Set in JSON: {error}")))?;
        let keys = match document.member("keys") {
            Some(Json::Array(keys)) => keys,
            Some(other) => return Err(not_a_set(&format!("`keys` to be {}", other.kind()))),
            None if document.member("kty").is_some() => {
                return Err(not_a_set("a single JWK: put it into {\"keys\":[…]}"));
            }
            None => return Err(not_a_set(document.kind())),
        };
        let mut set = Self { signing: Vec::new(), public: Vec::new(), skipped: Vec::new(), notes: Vec::new() };
        for (index, key) in keys.iter().enumerate() {
            match jwk::parse(key, &mut set.notes).map(|read| read.member) {
                Ok(Member::Signing(key)) => set.signing.push(Arc::new(key)),
                Ok(Member::Public(key)) => set.public.push(key),
                Err(reason) => {
                    let kid = key.member("kid").and_then(Json::as_str).map(KeyId::new);
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

    /// The keys that can sign, in the order of the set.
    pub fn signing_keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.signing.iter().map(Arc::as_ref)
    }

    /// The entries that are public already, in the order of the set.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicJwk> {
        self.public.iter()
    }

    /// The members that cannot be used.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// What was taken for granted, for the operator.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The key that signs at `now`, of algorithm `alg` if that is given: the active one with the latest `nbf`. Among
    /// equals the last of the set signs, as with Oathkeeper, so that a file without times goes on as it was.
    ///
    /// # Errors
    /// [`NoSigner`] where no key is active.
    pub fn signer(&self, now: Timestamp, alg: Option<SignatureAlg>) -> Result<&Arc<SigningKey>, NoSigner> {
        let fitting = || self.signing.iter().filter(|key| alg.is_none_or(|alg| key.alg == alg));
        fitting().filter(|key| key.state(now) == KeyState::Active).max_by_key(|key| key.period.not_before).ok_or_else(
            || NoSigner {
                alg,
                next: fitting()
                    .filter(|key| key.state(now) == KeyState::Pending)
                    .filter_map(|key| key.period.not_before)
                    .min(),
            },
        )
    }

    /// When another key than now signs next, and which: none where no key is active then. `None` where nothing will change.
    pub fn next_change(&self, now: Timestamp, alg: Option<SignatureAlg>) -> Option<(Timestamp, Option<&SigningKey>)> {
        let signer = |time| self.signer(time, alg).ok();
        let current = signer(now).map(|key| &key.kid);
        let mut times: Vec<Timestamp> = self
            .signing
            .iter()
            .flat_map(|key| [key.period.not_before, key.period.expires_at])
            .flatten()
            .filter(|time| *time > now)
            .collect();
        times.sort_unstable();
        let changes = times.into_iter().map(|time| (time, signer(time).map(Arc::as_ref)));
        changes.into_iter().find(|(_, next)| next.map(|key| &key.kid) != current)
    }

    /// Until when the key called `kid` is published, if that has an end; no token that it signs may live longer.
    pub fn publication_end(&self, kid: &KeyId, longest_ttl: Ttl) -> Option<Timestamp> {
        self.signing.iter().find(|key| key.kid == *kid)?.period.publication_end(longest_ttl)
    }

    /// The public keys that verifiers need at `now`: those that sign, will sign, or have signed a token that may still
    /// be valid. Symmetric keys never. Each name once.
    pub fn published(&self, now: Timestamp, longest_ttl: Ttl) -> Vec<&PublicJwk> {
        let (mut published, mut seen) = (Vec::new(), HashSet::new());
        // Where a file has both halves of a key, the private one says its times.
        let private: HashSet<&KeyId> = self.signing.iter().map(|key| &key.kid).collect();
        let public_alone = self.public.iter().filter(|key| !private.contains(&key.kid));
        for key in self.signing.iter().filter_map(|key| key.public.as_ref()).chain(public_alone) {
            let is_needed = key.period.publication_end(longest_ttl).is_none_or(|end| now < end);
            if is_needed && seen.insert(&key.kid) {
                published.push(key);
            }
        }
        published
    }

    /// All public keys, whatever the time, as a JWK Set.
    pub fn public_set(&self) -> String {
        let mut seen = HashSet::new();
        let keys = self.signing.iter().filter_map(|key| key.public.as_ref()).chain(&self.public);
        let texts: Vec<String> = keys.filter(|key| seen.insert(&key.kid)).map(PublicJwk::to_json).collect();
        format!("{{\"keys\":[{}]}}", texts.join(","))
    }

    /// A `kid` that stands for two keys, between which no verifier could tell.
    fn ambiguous_kid(&self) -> Option<KeyId> {
        type Half<'k> = (SignatureAlg, Option<&'k PublicJwk>, bool);
        let mut named: HashMap<&KeyId, Vec<Half<'_>>> = HashMap::new();
        let private = self.signing.iter().map(|key| (&key.kid, (key.alg, key.public.as_ref(), true)));
        let public = self.public.iter().map(|key| (&key.kid, (key.alg, Some(key), false)));
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
            // All of one name are the same key, so one of each kind stands for all.
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
    use super::*;
    use std::time::Duration;

    /// The set of `keys` (kid, nbf, exp), all ES256.
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

    fn member(alg: SignatureAlg, kid: &str) -> serde_json::Map<String, serde_json::Value> {
        let generated = generate(alg, None, &KeyId::new(kid)).unwrap();
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
        assert_eq!(set.publication_end(&KeyId::new("old"), hour()), Some(at(3700)));
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
        assert!(refused("{\"keys\":[]}").contains("keys generate"));
        assert!(refused("{").contains("line 1"));
        let one = member(SignatureAlg::Es256, "same");
        let two = member(SignatureAlg::Es256, "same");
        assert_eq!(parse(&[one.clone(), two]).unwrap_err(), KeySetError::DuplicateKid(KeyId::new("same")));
        assert!(parse(&[one.clone(), public_of(&one, "same")]).is_ok());
        assert!(matches!(parse(&[public_of(&one, "same")]), Err(KeySetError::NoSigningKey { public: 1, .. })));
        assert!(parse(&[public_of(&one, "same")]).unwrap_err().to_string().contains("found public keys"));
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
