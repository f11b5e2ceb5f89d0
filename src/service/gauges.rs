//! The gauges of keys, profiles and templates, measured when the metrics are scraped.

use std::collections::BTreeMap;

use crate::keys::{KeySet, KeyState, SignatureAlg};
use crate::mint::{Mint, Profile};
use crate::telemetry::{Gauges, KeySetGauges, ProfileGauges};
use crate::time::{Timestamp, Ttl};

/// Returns the gauges of `mint` at `now`.
pub(super) fn gauges(mint: &Mint, now: Timestamp) -> Gauges {
    let mut sets: BTreeMap<&str, KeySetGauges> = BTreeMap::new();
    for profile in mint.profiles() {
        let name = profile.spec().key_set.as_str();
        sets.entry(name).or_insert_with(|| key_set_gauges(name, profile.keys(), mint.longest_ttl(profile), now));
    }
    let mut templates: Vec<&str> = mint.profiles().map(|profile| profile.spec().template.as_str()).collect();
    templates.sort_unstable();
    templates.dedup();
    Gauges {
        templates: templates.len(),
        profiles: mint.profiles().map(|profile| profile_gauges(profile, mint.longest_ttl(profile), now)).collect(),
        key_sets: sets.into_values().collect(),
    }
}

fn key_set_gauges(set: &str, keys: &KeySet, longest_ttl: Ttl, now: Timestamp) -> KeySetGauges {
    let in_state = |state| keys.signing_keys().filter(|key| key.state(now) == state).count();
    KeySetGauges {
        set: set.to_owned(),
        active: in_state(KeyState::Active),
        pending: in_state(KeyState::Pending),
        retired: in_state(KeyState::Retired),
        published: keys.published(now, longest_ttl).len(),
    }
}

fn profile_gauges(profile: &Profile, longest_ttl: Ttl, now: Timestamp) -> ProfileGauges {
    let (keys, alg) = (profile.keys(), profile.spec().alg);
    let signer = keys.signer(now, alg).ok();
    let until = |time: Timestamp| time.seconds_since(now);
    ProfileGauges {
        profile: profile.spec().name.to_string(),
        can_sign: signer.is_some(),
        key_age: signer.and_then(|key| key.not_before()).map(|start| now.seconds_since(start)),
        next_change: keys.next_change(now, alg).map(|(time, _)| until(time)),
        signing_end: signing_end(keys, alg, now).map(until),
        publication_end: signer.and_then(|key| key.publication_end(longest_ttl)).map(until),
    }
}

/// Returns the time from which no key can sign. Returns `None` if a key can always sign, or if no key can sign now.
fn signing_end(keys: &KeySet, alg: Option<SignatureAlg>, now: Timestamp) -> Option<Timestamp> {
    keys.signer(now, alg).ok()?;
    let mut ends: Vec<Timestamp> =
        keys.signing_keys().filter_map(|key| key.expires_at()).filter(|end| *end > now).collect();
    ends.sort_unstable();
    ends.into_iter().find(|end| keys.signer(*end, alg).is_err())
}
