//! Simulates a year of rotations in a few seconds. The clocks of replicas differ, replicas see changed files late, and
//! verifiers cache key sets as long as allowed. Each verifier must have the key of each token.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use claimsmith::claims::JwtId;
use claimsmith::config::Config;
use claimsmith::json::ReadLimits;
use claimsmith::keys::{self, KeyId, KeySet, RotationPolicy, SignatureAlg};
use claimsmith::mint::{GenerationParts, IssueRequest, Mint, TemplateFiles};
use claimsmith::templates::{Syntax, TemplateText};
use claimsmith::time::{Timestamp, Ttl};
use uuid::Uuid;

use crate::support::NOW;

const MAX_AGE: i64 = 300;
/// The longest delay until a replica sees a change of a mounted volume.
const LONGEST_DELAY: i64 = 90;
/// The interval of change checks, including the debounce time.
const CHECK_INTERVAL: i64 = 6;

/// The parameters of a simulation.
struct Simulation {
    replicas: usize,
    days: i64,
    every: i64,
    lead: i64,
    ttl: i64,
    /// The largest clock offset of replicas and verifiers.
    skew: i64,
}

/// A state of the key file and the time of its write.
struct Version {
    written: i64,
    mint: Mint,
    set: KeySet,
}

/// The verification results of a simulation.
#[derive(Debug, Default)]
struct Outcome {
    rotations: usize,
    tokens: usize,
    checks: usize,
    lost: usize,
    signers: BTreeSet<String>,
}

impl Simulation {
    /// Returns the clock of a replica at `time`. The first clock is ahead, the last is behind, the others are in between.
    /// A single replica is ahead, because that is worse for verifiers, whose clocks are behind.
    fn clock(&self, replica: usize, time: i64) -> Timestamp {
        let steps = (self.replicas - 1).max(1) as i64;
        Timestamp::from_seconds(time + self.skew - 2 * self.skew * replica as i64 / steps)
    }

    /// Returns the delay until `replica` sees version `index`. Another replica is the last one each time.
    fn delay(&self, replica: usize, index: usize) -> i64 {
        let place = (replica + index) % self.replicas;
        CHECK_INTERVAL + LONGEST_DELAY * place as i64 / (self.replicas - 1).max(1) as i64
    }

    fn policy(&self) -> RotationPolicy {
        let seconds = |count: i64| Duration::from_secs(count.try_into().unwrap());
        RotationPolicy::new(
            seconds(self.lead),
            seconds(self.ttl),
            seconds(MAX_AGE),
            Ttl::new(seconds(self.ttl)).unwrap(),
        )
        .unwrap()
    }

    fn version(&self, written: i64, bytes: &[u8]) -> Version {
        let text = format!("profiles: {{ p: {{ issuer: i, jwks: k, ttl: {}s }} }}", self.ttl);
        let config = Config::parse(&text, Path::new(""), &[]).unwrap().config;
        let mut parts = GenerationParts { profiles: config.profile_specs(), ..GenerationParts::default() };
        parts.key_sets.insert("k".to_owned(), bytes.to_vec().into());
        let text = TemplateText { name: "p".to_owned(), text: "{}".to_owned() };
        let files = TemplateFiles { syntax: Syntax::Handlebars, text, schema: None, cases: Vec::new() };
        parts.templates.insert("p".to_owned(), files);
        let (mint, _) = Mint::build(&parts, Timestamp::from_seconds(written)).unwrap();
        Version { written, mint, set: KeySet::parse(bytes).unwrap() }
    }

    /// Returns all states of the file. Each replica checks every five minutes at its own offset and rotates.
    fn history(&self) -> Vec<Version> {
        let first = keys::generate(SignatureAlg::EdDsa, None, &KeyId::parse("key-0").unwrap()).unwrap();
        let mut bytes = first.to_set().as_bytes().to_vec();
        let mut versions = vec![self.version(NOW - 86_400, &bytes)];
        let (policy, every) = (self.policy(), Duration::from_secs(self.every.try_into().unwrap()));
        for tick in (0..self.days * 86_400).step_by(300) {
            for replica in 0..self.replicas {
                let time = NOW + tick + 37 * replica as i64;
                let now = self.clock(replica, time);
                if !policy.is_due(&versions.last().unwrap().set, SignatureAlg::EdDsa, every, now) {
                    continue;
                }
                let mut kid = || KeyId::parse(format!("key-{}", versions.len())).unwrap();
                let rotation = keys::rotate(&bytes, None, &policy, &now, &mut kid).unwrap();
                if let Some(text) = rotation.set {
                    bytes = text.as_bytes().to_vec();
                    versions.push(self.version(time, &bytes));
                }
            }
        }
        versions
    }

    /// Returns the times to test: every few hours, and densely around each event.
    fn moments(&self, history: &[Version]) -> BTreeSet<i64> {
        let mut moments: BTreeSet<i64> = (0..self.days * 86_400).step_by(8 * 3600).map(|tick| NOW + tick).collect();
        for version in history {
            let mut events = BTreeSet::from([version.written]);
            for time in version.set.signing_keys().flat_map(|key| [key.not_before(), key.expires_at()]).flatten() {
                events.extend([time.seconds(), time.seconds() + self.ttl]);
            }
            for event in events {
                moments.extend((event - 500..event + 700).step_by(40));
                moments.extend([-61, -60, -1, 0, 1, 59, 60, 61].map(|offset| event + offset));
            }
        }
        moments.retain(|time| (NOW..NOW + self.days * 86_400).contains(time));
        moments
    }

    /// Issues tokens on each replica, and verifies each token with sets from any replica, fetched now or as long ago as
    /// allowed.
    fn run(&self) -> Outcome {
        let history = self.history();
        let seen = |replica: usize, time: i64| {
            let sees = |(index, version): &(usize, &Version)| version.written + self.delay(replica, *index) <= time;
            history.iter().enumerate().rfind(sees).map_or(&history[0], |(_, version)| version)
        };
        let published = |replica: usize, time: i64| -> Vec<String> {
            let version = seen(replica, time);
            let profile = version.mint.profile("p").unwrap();
            version.mint.published(profile, self.clock(replica, time)).iter().map(|key| key.to_json()).collect()
        };
        let mut outcome = Outcome { rotations: history.len() - 1, ..Outcome::default() };
        for time in self.moments(&history) {
            for replica in 0..self.replicas {
                let mint = &seen(replica, time).mint;
                let now = self.clock(replica, time);
                let profile = mint.profile("p").unwrap();
                let (request, _) = IssueRequest::posted(profile, br#"{"subject":"u"}"#, ReadLimits::default()).unwrap();
                let params = mint.token_params(&request, now).unwrap();
                let draft = mint.draft(&request, params, || JwtId::new(Uuid::nil())).unwrap();
                let token = draft.sign().unwrap();
                outcome.tokens += 1;
                outcome.signers.insert(token.kid.as_str().to_owned());
                // The public key that verifies the token. The test is whether verifiers have it.
                let own = profile.keys().signing_keys().find(|key| *key.kid() == token.kid).unwrap().public().unwrap();
                let own = own.to_json();
                keys::verify(token.jws.as_str(), format!("{{\"keys\":[{own}]}}").as_bytes()).unwrap();

                let end = token.expires_at.seconds();
                // The last valid moment for a verifier whose clock is behind.
                let last = end + self.skew - 1;
                for shown in [time, (time + last) / 2, last] {
                    for fetched in [shown, shown - MAX_AGE / 2, shown - MAX_AGE + 1] {
                        for from in 0..self.replicas {
                            outcome.checks += 1;
                            if !published(from, fetched).contains(&own) {
                                outcome.lost += 1;
                            }
                        }
                    }
                }
            }
        }
        println!("{outcome:?}");
        outcome
    }
}

fn year(replicas: usize) -> Simulation {
    Simulation { replicas, days: 365, every: 720 * 3600, lead: 3600, ttl: 900, skew: 60 }
}

#[track_caller]
fn assert_no_loss(world: &Simulation) {
    let outcome = world.run();
    assert_eq!(outcome.lost, 0, "{outcome:?}");
    assert!(outcome.rotations as i64 >= world.days * 86_400 / world.every && outcome.rotations < 400, "{outcome:?}");
    assert_eq!(outcome.signers.len(), outcome.rotations + 1, "every key signed: {outcome:?}");
}

#[test]
fn one_replica_keeps_tokens_verifiable_for_a_year() {
    assert_no_loss(&year(1));
}

#[test]
fn two_replicas_keep_tokens_verifiable_for_a_year() {
    assert_no_loss(&year(2));
}

#[test]
fn five_replicas_keep_tokens_verifiable_for_a_year() {
    assert_no_loss(&year(5));
}

/// Uses the shortest lead time without a warning, and tokens with a longer lifetime.
#[test]
fn daily_rotation_with_the_shortest_lead_keeps_tokens_verifiable() {
    assert_no_loss(&Simulation { days: 20, every: 24 * 3600, lead: MAX_AGE + 240, ttl: 3600, ..year(5) });
}

/// Proves that the tests above can fail. `check` warns about this lead time, which barely exceeds max-age.
#[test]
fn too_short_lead_breaks_verification() {
    let outcome = Simulation { days: 20, every: 24 * 3600, lead: MAX_AGE + 1, ..year(5) }.run();
    assert!(outcome.lost > 0, "{outcome:?}");
}
