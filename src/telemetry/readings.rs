//! What is measured when it is asked for: keys, profiles and templates as they are at one time.

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::metrics::KeySetLabel;

/// What is measured when it is asked for.
#[derive(Debug, Default)]
pub(super) struct ReadMetrics {
    templates: Gauge,
    profiles: Gauge,
    keys: Family<KeyStateLabels, Gauge>,
    keys_published: Family<KeySetLabel, Gauge>,
    can_sign: Family<ProfileLabel, Gauge>,
    key_age: Family<ProfileLabel, Gauge>,
    next_change: Family<ProfileLabel, Gauge>,
    signing_end: Family<ProfileLabel, Gauge>,
    publication_end: Family<ProfileLabel, Gauge>,
}

/// Keys and templates as they are at one time.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Templates that profiles use.
    pub templates: usize,
    /// What is measured of each profile.
    pub profiles: Vec<ProfileReading>,
    /// What is measured of each key set.
    pub key_sets: Vec<KeyReading>,
}

/// The key that signs for a profile; times in seconds from now.
#[derive(Clone, Debug)]
pub struct ProfileReading {
    /// The profile.
    pub profile: String,
    /// Whether there is such a key.
    pub can_sign: bool,
    /// For how long it may sign already, if its set says since when.
    pub key_age: Option<i64>,
    /// Until another one signs, or none.
    pub next_change: Option<i64>,
    /// Until none may sign.
    pub signing_end: Option<i64>,
    /// Until its public half leaves the published set.
    pub publication_end: Option<i64>,
}

/// The keys of one set.
#[derive(Clone, Debug)]
pub struct KeyReading {
    /// The set, as the configuration calls it.
    pub set: String,
    /// Private keys that may sign.
    pub active: usize,
    /// Private keys that will sign.
    pub pending: usize,
    /// Private keys that sign no more.
    pub retired: usize,
    /// Public keys that verifiers are given.
    pub published: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyStateLabels {
    set: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ProfileLabel(String);

impl ReadMetrics {
    /// Adds them to `registry`.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("templates", "Templates that profiles use", self.templates.clone());
        registry.register("profiles", "Profiles", self.profiles.clone());
        registry.register("keys", "Private keys of a key set, by what they do now", self.keys.clone());
        registry.register(
            "keys_published",
            "Public keys of a key set that verifiers are given",
            self.keys_published.clone(),
        );
        registry.register("profile_can_sign", "1 while a key may sign for the profile", self.can_sign.clone());
        for (name, help, family) in [
            ("signing_key_age", "For how long the key that signs for the profile may do so already", &self.key_age),
            ("signing_key_next_change", "Until another key signs for the profile, or none", &self.next_change),
            ("signing_key_end", "Until no key of the set may sign for the profile", &self.signing_end),
            (
                "signing_key_publication_end",
                "Until the key that signs for the profile leaves the published set",
                &self.publication_end,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
    }

    /// Shows `readings` and nothing of those before.
    pub(super) fn set(&self, readings: &Readings) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.templates.set(number(readings.templates));
        self.profiles.set(number(readings.profiles.len()));
        self.keys.clear();
        self.keys_published.clear();
        for KeyReading { set, active, pending, retired, published } in &readings.key_sets {
            for (state, count) in [("active", active), ("pending", pending), ("retired", retired)] {
                self.keys.get_or_create(&KeyStateLabels { set: set.clone(), state }).set(number(*count));
            }
            self.keys_published.get_or_create(&KeySetLabel(set.clone())).set(number(*published));
        }
        let timed = [&self.key_age, &self.next_change, &self.signing_end, &self.publication_end];
        timed.into_iter().chain([&self.can_sign]).for_each(Family::clear);
        for reading in &readings.profiles {
            let label = ProfileLabel(reading.profile.clone());
            self.can_sign.get_or_create(&label).set(i64::from(reading.can_sign));
            let times = [reading.key_age, reading.next_change, reading.signing_end, reading.publication_end];
            for (family, time) in timed.into_iter().zip(times) {
                if let Some(time) = time {
                    family.get_or_create(&label).set(time);
                }
            }
        }
    }
}

impl EncodeLabelSet for KeyStateLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("set", self.set.as_str()), ("state", self.state)].encode(encoder)
    }
}

impl EncodeLabelSet for ProfileLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("profile", self.0.as_str())].encode(encoder)
    }
}
