//! The gauges of keys, profiles and templates, which are measured when they are scraped.

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::KeySetLabel;
use crate::escape;

/// The metrics that show [`Gauges`].
#[derive(Debug, Default)]
pub(super) struct ScrapedMetrics {
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

/// Keys, profiles and templates at one time.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Templates that profiles use.
    pub templates: usize,
    /// The profiles.
    pub profiles: Vec<ProfileGauges>,
    /// The key sets.
    pub key_sets: Vec<KeySetGauges>,
}

/// The signing key of a profile; times in seconds from now.
#[derive(Clone, Debug)]
pub struct ProfileGauges {
    /// The profile.
    pub profile: String,
    /// Whether there is one.
    pub can_sign: bool,
    /// How long it has been signing, if it has an `nbf`.
    pub key_age: Option<i64>,
    /// The time until another key signs, or none.
    pub next_change: Option<i64>,
    /// The time until no key can sign.
    pub signing_end: Option<i64>,
    /// The time until its public key is no longer published.
    pub publication_end: Option<i64>,
}

/// The keys of one set.
#[derive(Clone, Debug)]
pub struct KeySetGauges {
    /// The configured name of the set.
    pub set: String,
    /// Private keys that can sign.
    pub active: usize,
    /// Private keys that will sign.
    pub pending: usize,
    /// Private keys that no longer sign.
    pub retired: usize,
    /// Published public keys.
    pub published: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyStateLabels {
    set: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ProfileLabel(String);

impl ScrapedMetrics {
    /// Registers the metrics with `registry`.
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

    /// Shows `gauges` and removes earlier values.
    pub(super) fn set(&self, gauges: &Gauges) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.templates.set(number(gauges.templates));
        self.profiles.set(number(gauges.profiles.len()));
        self.keys.clear();
        self.keys_published.clear();
        for KeySetGauges { set, active, pending, retired, published } in &gauges.key_sets {
            for (state, count) in [("active", active), ("pending", pending), ("retired", retired)] {
                self.keys.get_or_create(&KeyStateLabels { set: set.clone(), state }).set(number(*count));
            }
            self.keys_published.get_or_create(&KeySetLabel(set.clone())).set(number(*published));
        }
        let timed = [&self.key_age, &self.next_change, &self.signing_end, &self.publication_end];
        timed.into_iter().chain([&self.can_sign]).for_each(Family::clear);
        for profile in &gauges.profiles {
            let label = ProfileLabel(profile.profile.clone());
            self.can_sign.get_or_create(&label).set(i64::from(profile.can_sign));
            let times = [profile.key_age, profile.next_change, profile.signing_end, profile.publication_end];
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
        [("set", escape::line(&self.set)), ("state", self.state.into())].encode(encoder)
    }
}

impl EncodeLabelSet for ProfileLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("profile", self.0.as_str())].encode(encoder)
    }
}
