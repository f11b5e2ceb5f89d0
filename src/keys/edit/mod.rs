//! A JWK Set as a file that changes: a key comes, gets an end, and goes. Members that are not known here, and everything
//! that a change does not touch, stay as they were written.
//!
//! Pure functions of the file's bytes and the time: who reads, locks and writes the file is the caller's concern. What
//! comes out was read again and proven before it is handed over.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{GenerateError, GeneratedKey, KeyId, KeySet, KeySetError, KeyState, SignatureAlg, SigningKey, generate};
use crate::json::{Json, Number, Object, ReadLimits};
use crate::time::{Timestamp, Ttl};

/// How long a key may still sign after its successor has started: two clocks that each are off by up to a minute, the
/// signing replica's and the publishing one's, must agree on which keys may be dropped.
pub const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// How keys follow each other. Built only where no verifier can meet a token before it knows its key, or after it forgot
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    lead: Duration,
    retire: Duration,
}

/// Why a rotation would lose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Verifiers may keep a set for longer than a key is published ahead.
    Lead {
        /// How long ahead a key is published.
        lead: Duration,
        /// For how long verifiers may keep a set.
        max_age: Duration,
    },
    /// A key would go while a token that it signed is still valid.
    Retire {
        /// How long an ended key stays in the file.
        retire: Duration,
        /// How long a token lives at most.
        longest_ttl: Ttl,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::Lead { lead, max_age } => write!(
                f,
                "expected a lead longer than the max-age of the published set, which is {}s, found {}s: a verifier would \
                 meet tokens of a key that its copy of the set does not have yet",
                max_age.as_secs(),
                lead.as_secs()
            ),
            PolicyError::Retire { retire, longest_ttl } => write!(
                f,
                "expected an ended key to stay at least as long as the longest-lived token, which is {}s, found {}s: its \
                 last tokens could not be verified any more",
                longest_ttl.seconds(),
                retire.as_secs()
            ),
        }
    }
}

impl std::error::Error for PolicyError {}

impl RotationPolicy {
    /// A key is published `lead` before it signs, and stays in the file for `retire` after its end; `max_age` is how long
    /// verifiers may keep a published set, `longest_ttl` how long a token lives at most.
    ///
    /// # Errors
    /// [`PolicyError`] where a token could meet a verifier that does not have its key.
    pub fn new(lead: Duration, retire: Duration, max_age: Duration, longest_ttl: Ttl) -> Result<Self, PolicyError> {
        if lead <= max_age {
            return Err(PolicyError::Lead { lead, max_age });
        }
        if retire < Duration::from_secs(longest_ttl.seconds().into()) {
            return Err(PolicyError::Retire { retire, longest_ttl });
        }
        Ok(Self { lead, retire })
    }

    /// How long a key is published before it signs.
    pub fn lead(&self) -> Duration {
        self.lead
    }

    /// How long an ended key stays in the file.
    pub fn retire(&self) -> Duration {
        self.retire
    }

    /// Whether the next key after those of `alg` in `set` has to be added now, for keys to start `every` so long: none is
    /// pending, and the newest started so long ago that its successor has to be published. A key without `nbf` may be of
    /// any age, so its successor is due.
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

/// The text of a changed JWK Set, with its private keys: for a file, and for nothing else.
pub struct KeySetText(Zeroizing<String>);

impl KeySetText {
    /// The bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for KeySetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySetText({} bytes)", self.0.len())
    }
}

/// What a rotation does to a file.
#[derive(Debug)]
pub struct Rotation {
    /// The new file; `None` where nothing is to change.
    pub set: Option<KeySetText>,
    /// The keys that came.
    pub added: Vec<AddedKey>,
    /// The keys that got an end, and when it is.
    pub ended: Vec<(KeyId, Timestamp)>,
    /// The keys that went.
    pub dropped: Vec<KeyId>,
    /// The key that is to sign next already, because of which none was added.
    pub pending: Option<AddedKey>,
}

/// A key that is to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedKey {
    /// Its name.
    pub kid: KeyId,
    /// Its algorithm.
    pub alg: SignatureAlg,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

/// Why a file is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// No key was made.
    Generate(GenerateError),
    /// The file as it is, or as it would be, is no usable JWK Set.
    KeySet(KeySetError),
    /// The changed set would not do what it was changed for.
    Unproven,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::Generate(error) => error.fmt(f),
            EditError::KeySet(error) => error.fmt(f),
            EditError::Unproven => f.write_str(
                "expected the changed set to sign with its new key, found that it would not; the file is left as it was",
            ),
        }
    }
}

impl std::error::Error for EditError {}

impl From<GenerateError> for EditError {
    fn from(error: GenerateError) -> Self {
        EditError::Generate(error)
    }
}

impl From<KeySetError> for EditError {
    fn from(error: KeySetError) -> Self {
        EditError::KeySet(error)
    }
}

/// The set in `file` with `key` behind its others, signing from `signs_from` on; without a file, a new set.
///
/// # Errors
/// [`EditError::KeySet`] where the file is no usable set, or has another key of that name.
pub fn add_key(
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

/// The set in `file` with its next key of `alg`, or of the algorithm that signs now: published at once, signing after the
/// lead, from when on the earlier ones of that algorithm sign no more. Where such a key is pending already, none is
/// added. Keys whose end is longer ago than the policy keeps them are dropped. `kid` names a new key.
///
/// The new key starts earlier where the others all end before the lead is over, and at once where none signs: an outage
/// until then would be the worse fault.
///
/// # Errors
/// [`EditError`]
pub fn rotate(
    file: &[u8],
    alg: Option<SignatureAlg>,
    policy: &RotationPolicy,
    now: Timestamp,
    kid: &mut dyn FnMut() -> KeyId,
) -> Result<Rotation, EditError> {
    let set = KeySet::parse(file)?;
    let mut document = Document::parse(file)?;
    let alg =
        alg.or_else(|| set.signer(now, None).ok().map(Arc::as_ref).or(set.signing_keys().last()).map(SigningKey::alg));
    let alg = alg.ok_or(EditError::Unproven)?;
    let fitting = || set.signing_keys().filter(move |key| key.alg() == alg);
    let in_state = |state| fitting().filter(move |key| key.state(now) == state);

    let mut rotation = Rotation { set: None, added: vec![], ended: vec![], dropped: vec![], pending: None };
    let next = in_state(KeyState::Pending).filter_map(|key| Some((key.not_before()?, key.kid()))).min();
    if let Some((signs_from, kid)) = next {
        rotation.pending = Some(AddedKey { kid: kid.clone(), alg, signs_from });
    } else {
        let after_lead = now.after(policy.lead);
        let last_end = in_state(KeyState::Active).map(SigningKey::expires_at).try_fold(None, |latest, end| {
            // One key without an end, and there is no gap to fear.
            end.map(|end| latest.max(Some(end)))
        });
        let signs_from = match last_end {
            None => after_lead,
            Some(Some(end)) => after_lead.min(end),
            Some(None) => before(now, CLOCK_SKEW),
        };
        let bits = document.bits_like(fitting().last());
        let key = generate(alg, bits, &kid())?;
        let end = signs_from.after(CLOCK_SKEW);
        for old in in_state(KeyState::Active).filter(|key| key.expires_at().is_none_or(|earlier| earlier > end)) {
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

/// The set in `file` with a new key, signing at once, for each algorithm that signs or is to sign, and without every
/// private key that it has, nor their public halves: for keys that others may know. No token of theirs can be verified
/// any more.
///
/// # Errors
/// [`EditError`]
pub fn replace_keys(file: &[u8], now: Timestamp, kid: &mut dyn FnMut() -> KeyId) -> Result<Rotation, EditError> {
    let set = KeySet::parse(file)?;
    let mut document = Document::parse(file)?;
    let is_alive = |key: &&SigningKey| key.state(now) != KeyState::Retired;
    let mut algs: Vec<SignatureAlg> = set.signing_keys().filter(is_alive).map(SigningKey::alg).collect();
    if algs.is_empty() {
        algs.extend(set.signing_keys().last().map(SigningKey::alg));
    }
    algs.sort_unstable();
    algs.dedup();
    // The one that signs for profiles without an algorithm of their own goes on doing so: the last of equals signs.
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

/// A JWK Set as a document.
struct Document<'a> {
    root: Object<'a>,
    keys: Vec<Json<'a>>,
}

impl<'a> Document<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, KeySetError> {
        let no_set = || KeySetError::NotASet("expected a JWK Set, found something else".to_owned());
        let Ok(Json::Object(root)) = Json::parse(file, ReadLimits { depth: 16 }) else { return Err(no_set()) };
        let Some(Json::Array(keys)) = root.member("keys") else { return Err(no_set()) };
        let keys = keys.clone();
        Ok(Self { root, keys })
    }

    /// Adds `key` at the end, and says what it is called.
    fn append(&mut self, key: &GeneratedKey, signs_from: Option<Timestamp>) -> Result<KeyId, EditError> {
        let set = Json::parse(key.to_set().as_bytes(), ReadLimits::default()).map_err(|_| EditError::Unproven)?;
        let mut member = set.member("keys").and_then(|keys| keys.element(0)).cloned().ok_or(EditError::Unproven)?;
        set_time(&mut member, "nbf", signs_from);
        let kid = kid_of(&member).map(KeyId::new).ok_or(EditError::Unproven)?;
        self.keys.push(member.into_owned());
        Ok(kid)
    }

    /// Both halves of the key called `kid`.
    fn members_of<'m>(&'m mut self, kid: &'m KeyId) -> impl Iterator<Item = &'m mut Json<'a>> {
        self.keys.iter_mut().filter(|member| kid_of(member) == Some(kid.as_str()))
    }

    /// Takes out the private keys that `is_dead` says, with their public halves whatever those are called, and the public
    /// keys whose own end `has_passed`.
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

    /// The size of an RSA key, for its successor to have it too.
    fn bits_like(&mut self, key: Option<&SigningKey>) -> Option<u32> {
        let kid = key?.kid().clone();
        let modulus = self.members_of(&kid).find_map(|member| {
            let Some(Json::String(modulus)) = member.member("n") else { return None };
            URL_SAFE_NO_PAD.decode(modulus.as_bytes()).ok()
        })?;
        let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
        u32::try_from(bytes * 8).ok().filter(|bits| *bits <= 8192)
    }

    fn proven(mut self) -> Result<KeySetText, EditError> {
        self.root.set(Cow::Borrowed("keys"), Json::Array(self.keys));
        // Room for all of it at once: a text that grows leaves copies of itself behind in memory.
        let root = Json::Object(self.root);
        let mut text = Zeroizing::new(String::with_capacity(2 * length(&root) + 64));
        root.write_pretty(&mut text);
        text.push('\n');
        KeySet::parse(text.as_bytes())?;
        Ok(KeySetText(text))
    }
}

/// More than the bytes of `value` as text, whatever its layout in a JWK Set.
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
