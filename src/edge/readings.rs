//! What is measured when it is asked for: keys and templates as they are at this time.

use std::collections::BTreeMap;

use super::Edge;
use crate::keys::{KeySet, KeyState, SignatureAlg};
use crate::mint::Profile;
use crate::telemetry::{KeyReading, ProfileReading, Readings};
use crate::time::{Timestamp, Ttl};

/// The readings of what `edge` serves now.
pub(crate) fn readings(edge: &Edge) -> Readings {
    let serving = edge.live.load();
    let now = edge.clock.now();
    let mut longest_ttl: BTreeMap<&str, Ttl> = BTreeMap::new();
    for profile in serving.mint.profiles() {
        let longest = longest_ttl.entry(&profile.spec().key_set).or_insert(profile.spec().ttl);
        *longest = profile.spec().ttl.max(*longest);
    }
    let longest_of =
        |profile: &Profile| longest_ttl.get(profile.spec().key_set.as_str()).copied().unwrap_or(Ttl::ONE_SECOND);
    let mut sets: BTreeMap<&str, KeyReading> = BTreeMap::new();
    for profile in serving.mint.profiles() {
        let name = profile.spec().key_set.as_str();
        sets.entry(name).or_insert_with(|| key_reading(name, profile.keys(), longest_of(profile), now));
    }
    let mut templates: Vec<&str> = serving.mint.profiles().map(|profile| profile.spec().template.as_str()).collect();
    templates.sort_unstable();
    templates.dedup();
    Readings {
        templates: templates.len(),
        profiles: serving.mint.profiles().map(|profile| profile_reading(profile, longest_of(profile), now)).collect(),
        key_sets: sets.into_values().collect(),
    }
}

fn key_reading(set: &str, keys: &KeySet, longest_ttl: Ttl, now: Timestamp) -> KeyReading {
    let in_state = |state| keys.signing_keys().filter(|key| key.state(now) == state).count();
    KeyReading {
        set: set.to_owned(),
        active: in_state(KeyState::Active),
        pending: in_state(KeyState::Pending),
        retired: in_state(KeyState::Retired),
        published: keys.published(now, longest_ttl).len(),
    }
}

fn profile_reading(profile: &Profile, longest_ttl: Ttl, now: Timestamp) -> ProfileReading {
    let (keys, alg) = (profile.keys(), profile.spec().alg);
    let signer = keys.signer(now, alg).ok();
    let until = |time: Timestamp| time.seconds_since(now);
    ProfileReading {
        profile: profile.spec().name.to_string(),
        can_sign: signer.is_some(),
        key_age: signer.and_then(|key| key.not_before()).map(|start| now.seconds_since(start)),
        next_change: keys.next_change(now, alg).map(|(time, _)| until(time)),
        signing_end: signing_end(keys, alg, now).map(until),
        publication_end: signer.and_then(|key| keys.publication_end(key.kid(), longest_ttl)).map(until),
    }
}

/// From when on no key may sign; `None` where that is not foreseen, or is so already.
fn signing_end(keys: &KeySet, alg: Option<SignatureAlg>, now: Timestamp) -> Option<Timestamp> {
    keys.signer(now, alg).ok()?;
    let mut ends: Vec<Timestamp> =
        keys.signing_keys().filter_map(|key| key.expires_at()).filter(|end| *end > now).collect();
    ends.sort_unstable();
    ends.into_iter().find(|end| keys.signer(*end, alg).is_err())
}
