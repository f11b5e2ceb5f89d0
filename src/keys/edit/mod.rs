//! Changes to key files: keys are added, get an `exp`, and are removed. Unknown members, and all other content that a
//! change does not affect, stay unchanged.
//!
//! The functions depend only on the bytes of the file and the time. Their callers read, lock and write the file. Each
//! result is parsed and verified before it is returned.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::alg::SignatureAlg;
use super::generate::{GenerateError, GeneratedKey, generate};
use super::jwk;
use super::kid::KeyId;
use super::period::KeyState;
use super::ring::{KeySet, KeySetError};
use super::signing::SigningKey;
use crate::json::{Json, Number, Object, ReadLimits};
use crate::time::{Clock, Timestamp, Ttl};

/// The time for which a key still signs after its successor has started. The clocks of the signing and the publishing
/// replica can each be off by a minute, and both must remove the same keys.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// The schedule on which keys replace each other. Its durations ensure that verifiers have the key of every valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    lead: Duration,
    retire: Duration,
}

/// The reason why a rotation policy would make verifiers reject valid tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Verifiers can cache a key set for longer than the lead time.
    #[error(
        "expected a lead longer than the max-age of the published set, which is {}s, found {}s: a verifier would receive \
         tokens of a key that is not in its copy of the set yet",
        max_age.as_secs(),
        lead.as_secs()
    )]
    Lead {
        /// The time for which a key is published before it signs.
        lead: Duration,
        /// The time for which verifiers can cache a key set.
        max_age: Duration,
    },
    /// A key would be removed while a token that it signed is still valid.
    #[error(
        "expected an expired key to stay at least as long as the longest-lived token, which is {}s, found {}s: its last \
         tokens could no longer be verified",
        longest_ttl.seconds(),
        retire.as_secs()
    )]
    Retire {
        /// The time for which an expired key stays in the file.
        retire: Duration,
        /// The longest lifetime of a token.
        longest_ttl: Ttl,
    },
}

impl RotationPolicy {
    /// Returns the policy that publishes a key `lead` before it signs, and keeps it in the file for `retire` after its
    /// `exp`. Verifiers can cache a published set for `max_age`, and no token lives longer than `longest_ttl`.
    ///
    /// # Errors
    /// Returns [`PolicyError`] if a verifier could receive a token without having its key.
    pub fn new(lead: Duration, retire: Duration, max_age: Duration, longest_ttl: Ttl) -> Result<Self, PolicyError> {
        if lead <= max_age {
            return Err(PolicyError::Lead { lead, max_age });
        }
        if retire < Duration::from_secs(longest_ttl.seconds().into()) {
            return Err(PolicyError::Retire { retire, longest_ttl });
        }
        Ok(Self { lead, retire })
    }

    /// Returns `true` if the next key of `alg` must be added at `now`, so that a new key starts `every` period. This is
    /// the case if no key is pending and the successor of the newest key must be published. A key without `nbf` can
    /// have any age, so its successor is due.
    pub fn is_due(&self, set: &KeySet, alg: SignatureAlg, every: Duration, now: Timestamp) -> bool {
        let fitting = || set.signing_keys().filter(move |key| key.alg() == alg);
        if fitting().any(|key| key.state(now) == KeyState::Pending) {
            return false;
        }
        let newest = fitting().filter(|key| key.state(now) == KeyState::Active).map(SigningKey::not_before).max();
        match newest.flatten() {
            Some(start) => now >= start.after(every.saturating_sub(self.lead)),
            None => true,
        }
    }
}

/// The text of a changed key file, with its private keys.
pub struct KeySetText(Zeroizing<String>);

impl KeySetText {
    /// Returns the content of the file.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for KeySetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySetText({} bytes)", self.0.len())
    }
}

/// The changes that a rotation makes to a key file.
#[derive(Debug)]
pub struct Rotation {
    /// The new file. `None` if nothing changes.
    pub set: Option<KeySetText>,
    /// The added keys.
    pub added: Vec<AddedKey>,
    /// The keys that got an `exp`, and its value.
    pub ended: Vec<(KeyId, Timestamp)>,
    /// The removed keys.
    pub dropped: Vec<KeyId>,
    /// The key that is already pending, so that none was added.
    pub pending: Option<AddedKey>,
}

/// A key that signs from a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedKey {
    /// The `kid`.
    pub kid: KeyId,
    /// The algorithm.
    pub alg: SignatureAlg,
    /// The time from which it signs.
    pub signs_from: Timestamp,
}

/// The reason why a key file cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// No key was generated.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The file, or the changed file, is not a usable key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The changed set would not sign with its new key.
    #[error("expected the changed set to sign with its new key, found that it would not; the file is unchanged")]
    Unproven,
}

/// Adds `key` at the end of the set in `file`, to sign from `signs_from`. Without a file, creates a new set.
///
/// # Errors
/// Returns [`EditError::KeySet`] if the file is not a usable key set or has another key with the same `kid`.
pub(crate) fn add_key(
    file: Option<&[u8]>,
    key: &GeneratedKey,
    signs_from: Option<Timestamp>,
) -> Result<KeySetText, EditError> {
    let Some(file) = file else {
        let mut document = Document::parse(key.to_set().as_bytes())?;
        document.keys.iter_mut().for_each(|member| set_time(member, "nbf", signs_from));
        return document.proven();
    };
    KeySet::parse(file)?;
    let mut document = Document::parse(file)?;
    document.append(key, signs_from)?;
    document.proven()
}

/// Adds the next key of `alg`, or of the algorithm that signs now, to the set in `file`. `kid` names the new key.
///
/// The new key is published immediately and signs after the lead time; then the earlier keys of its algorithm stop
/// signing. No key is added if one is already pending. Keys past their retention period are removed. The lead time
/// begins at the time of `clock` when the key has been generated.
///
/// The new key signs earlier if all others expire before the lead time is over, and immediately if none signs. Otherwise
/// no token could be signed until then.
///
/// # Errors
/// Returns [`EditError`] if the file or the changed file is not a usable key set, or if no key can be generated.
pub fn rotate(
    file: &[u8],
    alg: Option<SignatureAlg>,
    policy: &RotationPolicy,
    clock: &dyn Clock,
    kid: &mut dyn FnMut() -> KeyId,
) -> Result<Rotation, EditError> {
    let mut now = clock.now();
    let set = KeySet::parse(file)?;
    let mut document = Document::parse(file)?;
    let alg =
        alg.or_else(|| set.signer(now, None).ok().map(Arc::as_ref).or(set.signing_keys().last()).map(SigningKey::alg));
    let alg = alg.ok_or(EditError::Unproven)?;
    let fitting = || set.signing_keys().filter(move |key| key.alg() == alg);
    let in_state = |state, now| fitting().filter(move |key| key.state(now) == state);

    let mut rotation = Rotation { set: None, added: vec![], ended: vec![], dropped: vec![], pending: None };
    let next = in_state(KeyState::Pending, now).filter_map(|key| Some((key.not_before()?, key.kid()))).min();
    if let Some((signs_from, kid)) = next {
        rotation.pending = Some(AddedKey { kid: kid.clone(), alg, signs_from });
    } else {
        let bits = document.bits_like(fitting().last());
        let key = generate(alg, bits, &kid())?;
        // The lead time begins when the key exists, because generating an RSA key can take longer than the lead time.
        now = clock.now();
        let after_lead = now.after(policy.lead);
        let last_end = in_state(KeyState::Active, now).map(SigningKey::expires_at).try_fold(None, |latest, end| {
            // A single key without an `exp` is enough to prevent a gap.
            end.map(|end| latest.max(Some(end)))
        });
        let signs_from = match last_end {
            None => after_lead,
            Some(Some(end)) => after_lead.min(end),
            Some(None) => before(now, CLOCK_SKEW),
        };
        let end = signs_from.after(CLOCK_SKEW);
        for old in in_state(KeyState::Active, now).filter(|key| key.expires_at().is_none_or(|earlier| earlier > end)) {
            document.members_of(old.kid()).for_each(|member| set_time(member, "exp", Some(end)));
            rotation.ended.push((old.kid().clone(), end));
        }
        let kid = document.append(&key, Some(signs_from))?;
        rotation.added.push(AddedKey { kid, alg, signs_from });
    }

    let dead = |end: Option<Timestamp>| end.is_some_and(|end| now >= end.after(policy.retire));
    rotation.dropped = document.drop_keys(&set, &|key| dead(key.expires_at()), &|period_end| dead(period_end));
    if rotation.added.is_empty() && rotation.dropped.is_empty() {
        return Ok(rotation);
    }
    let text = document.proven()?;
    let changed = KeySet::parse(text.as_bytes())?;
    for key in &rotation.added {
        let signer = changed.signer(key.signs_from.max(now), Some(alg)).map_err(|_| EditError::Unproven)?;
        if *signer.kid() != key.kid {
            return Err(EditError::Unproven);
        }
    }
    if set.signer(now, None).is_ok() && changed.signer(now, None).is_err() {
        return Err(EditError::Unproven);
    }
    rotation.set = Some(text);
    Ok(rotation)
}

/// Replaces all private keys of the set in `file`, and their public keys, with new keys that sign immediately. There is
/// one new key for each algorithm of an active or pending key. Use this function for leaked keys; verifiers then reject
/// their tokens.
///
/// # Errors
/// Returns [`EditError`] if the file or the changed file is not a usable key set, or if no key can be generated.
pub(crate) fn replace_keys(file: &[u8], now: Timestamp, kid: &mut dyn FnMut() -> KeyId) -> Result<Rotation, EditError> {
    let set = KeySet::parse(file)?;
    let mut document = Document::parse(file)?;
    let is_alive = |key: &&SigningKey| key.state(now) != KeyState::Retired;
    let mut algs: Vec<SignatureAlg> = set.signing_keys().filter(is_alive).map(SigningKey::alg).collect();
    if algs.is_empty() {
        algs.extend(set.signing_keys().last().map(SigningKey::alg));
    }
    algs.sort_unstable();
    algs.dedup();
    // The algorithm that signs for profiles without `alg` must stay the last one, because the last key wins a tie.
    if let Ok(signer) = set.signer(now, None) {
        algs.sort_by_key(|alg| *alg == signer.alg());
    }
    let sizes: Vec<_> =
        algs.iter().map(|alg| document.bits_like(set.signing_keys().filter(|key| key.alg() == *alg).last())).collect();
    let dropped = document.drop_keys(&set, &|_| true, &|_| false);
    let mut added = Vec::new();
    let signs_from = before(now, CLOCK_SKEW);
    for (alg, bits) in algs.into_iter().zip(sizes) {
        let kid = document.append(&generate(alg, bits, &kid())?, Some(signs_from))?;
        added.push(AddedKey { kid, alg, signs_from });
    }
    Ok(Rotation { set: Some(document.proven()?), added, ended: vec![], dropped, pending: None })
}

/// A JWK Set as a JSON document.
struct Document<'a> {
    root: Object<'a>,
    keys: Vec<Json<'a>>,
}

impl<'a> Document<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, KeySetError> {
        let root = jwk::root(file)?;
        // Reads a copy, so that `keys` keeps its position in the file.
        let keys = jwk::take_members(&mut root.clone())?;
        Ok(Self { root, keys })
    }

    /// Adds `key` at the end and returns its `kid`.
    fn append(&mut self, key: &GeneratedKey, signs_from: Option<Timestamp>) -> Result<KeyId, EditError> {
        let set = Json::parse(key.to_set().as_bytes(), ReadLimits::default()).map_err(|_| EditError::Unproven)?;
        let mut member = set.member("keys").and_then(|keys| keys.element(0)).cloned().ok_or(EditError::Unproven)?;
        set_time(&mut member, "nbf", signs_from);
        let kid = kid_of(&member).and_then(|kid| KeyId::parse(kid).ok()).ok_or(EditError::Unproven)?;
        self.keys.push(member.into_owned());
        Ok(kid)
    }

    /// Returns the members with the ID `kid`: a private key, its public key, or both.
    fn members_of<'m>(&'m mut self, kid: &'m KeyId) -> impl Iterator<Item = &'m mut Json<'a>> {
        self.keys.iter_mut().filter(|member| kid_of(member) == Some(kid.as_str()))
    }

    /// Removes the private keys for which `is_dead` returns `true`, with their public keys under any `kid`, and the
    /// public keys whose own `exp` `has_passed`. Returns the removed IDs.
    fn drop_keys(
        &mut self,
        set: &KeySet,
        is_dead: &dyn Fn(&SigningKey) -> bool,
        has_passed: &dyn Fn(Option<Timestamp>) -> bool,
    ) -> Vec<KeyId> {
        let (dead, alive): (Vec<&SigningKey>, Vec<&SigningKey>) = set.signing_keys().partition(|key| is_dead(key));
        let mut dropped: Vec<KeyId> = dead.iter().map(|key| key.kid().clone()).collect();
        for key in set.public_keys() {
            let is_half_of = |private: &&&SigningKey| private.public().is_some_and(|public| public.is_same_key(key));
            let is_needed = alive.iter().any(|private| is_half_of(&private));
            let is_dead = has_passed(key.period.expires_at) || dead.iter().any(|private| is_half_of(&private));
            if is_dead && !is_needed && !dropped.contains(key.kid()) {
                dropped.push(key.kid().clone());
            }
        }
        self.keys
            .retain(|member| kid_of(member).is_none_or(|kid| !dropped.iter().any(|dropped| dropped.as_str() == kid)));
        dropped
    }

    /// Returns the size of an RSA key, so that its successor gets the same size.
    fn bits_like(&mut self, key: Option<&SigningKey>) -> Option<u32> {
        let kid = key?.kid().clone();
        let modulus = self.members_of(&kid).find_map(|member| {
            let Some(Json::String(modulus)) = member.member("n") else { return None };
            URL_SAFE_NO_PAD.decode(modulus.as_bytes()).ok()
        })?;
        let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
        u32::try_from(bytes * 8).ok().filter(|bits| *bits <= 8192)
    }

    /// Returns the text of the set, after parsing and verifying it again.
    fn proven(mut self) -> Result<KeySetText, EditError> {
        self.root.set(Cow::Borrowed("keys"), Json::Array(self.keys));
        // Allocate once, because a string that grows leaves copies of private keys behind in memory.
        let root = Json::Object(self.root);
        let mut text = Zeroizing::new(String::with_capacity(2 * length(&root) + 64));
        root.write_pretty(&mut text);
        text.push('\n');
        KeySet::parse(text.as_bytes())?;
        Ok(KeySetText(text))
    }
}

/// Returns an upper bound for the length of `value` as text in a JWK Set.
fn length(value: &Json<'_>) -> usize {
    match value {
        Json::Array(elements) => elements.iter().map(|element| length(element) + 16).sum(),
        Json::Object(object) => object.iter().map(|(name, value)| name.len() + length(value) + 24).sum(),
        Json::String(text) => text.len() + 2,
        Json::Number(number) => number.token().len(),
        Json::Null | Json::Bool(_) => 5,
    }
}

fn kid_of<'m>(member: &'m Json<'_>) -> Option<&'m str> {
    member.member("kid").and_then(Json::as_str)
}

fn set_time(member: &mut Json<'_>, name: &'static str, time: Option<Timestamp>) {
    if let (Json::Object(object), Some(time)) = (member, time) {
        object.set(Cow::Borrowed(name), Json::Number(Number::from(time.seconds())));
    }
}

fn before(time: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_seconds(time.seconds().saturating_sub(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
