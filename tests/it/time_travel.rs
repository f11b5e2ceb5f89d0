//! A year of rotations in a few seconds: replicas whose clocks differ and who see a changed file late, verifiers who keep
//! a key set as long as they may, and not one token that meets a verifier without its key.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use claimsmith::config::Config;
use claimsmith::json::ReadLimits;
use claimsmith::keys::{self, KeyId, KeySet, RotationPolicy, SignatureAlg};
use claimsmith::mint::{GenerationParts, Mint, TemplateFiles};
use claimsmith::session::Session;
use claimsmith::templates::{Syntax, TemplateText};
use claimsmith::time::{Timestamp, Ttl};

use crate::support::NOW;

const MAX_AGE: i64 = 300;
/// How late a replica may see a change of a mounted volume.
const LONGEST_DELAY: i64 = 90;
/// How often a service looks, the time a change needs to settle included.
const LOOK: i64 = 6;

/// What one history is like.
struct World {
    replicas: usize,
    days: i64,
    every: i64,
    lead: i64,
    ttl: i64,
    /// How far the clocks of replicas and verifiers are off at most.
    skew: i64,
}

/// A state of the key file, from when on it is written.
struct Version {
    written: i64,
    mint: Mint,
    set: KeySet,
}

/// What became of the tokens of a history.
#[derive(Debug, Default)]
struct Outcome {
    rotations: usize,
    tokens: usize,
    checks: usize,
    lost: usize,
    signers: BTreeSet<String>,
}

impl World {
    /// The clock of a replica at `time`: the first is ahead, the last is behind, the others are between them. One alone is
    /// ahead, which is the worse for verifiers, whose clocks are behind.
    fn clock(&self, replica: usize, time: i64) -> Timestamp {
        let steps = (self.replicas - 1).max(1) as i64;
        Timestamp::from_seconds(time + self.skew - 2 * self.skew * replica as i64 / steps)
    }

    /// How late `replica` sees the version that is the `index`th: another one is the last each time.
    fn delay(&self, replica: usize, index: usize) -> i64 {
        let place = (replica + index) % self.replicas;
        LOOK + LONGEST_DELAY * place as i64 / (self.replicas - 1).max(1) as i64
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

    /// Every state of the file: each replica looks every five minutes, at times of its own, and rotates what is due.
    fn history(&self) -> Vec<Version> {
        let first = keys::generate(SignatureAlg::EdDsa, None, &KeyId::new("key-0")).unwrap();
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
                let mut kid = || KeyId::new(format!("key-{}", versions.len()));
                let rotation = keys::rotate(&bytes, None, &policy, now, &mut kid).unwrap();
                if let Some(text) = rotation.set {
                    bytes = text.as_bytes().to_vec();
                    versions.push(self.version(time, &bytes));
                }
            }
        }
        versions
    }

    /// The moments to try: every few hours, and close together around everything that happens.
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

    /// Issues tokens by every replica, and shows each to verifiers who fetched their sets from any replica, just now or as
    /// long ago as they may.
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
        let session = Session::parse(br#"{"subject":"u"}"#, ReadLimits::default()).unwrap();
        let mut outcome = Outcome { rotations: history.len() - 1, ..Outcome::default() };
        for time in self.moments(&history) {
            for replica in 0..self.replicas {
                let mint = &seen(replica, time).mint;
                let now = self.clock(replica, time);
                let profile = mint.profile("p").unwrap();
                let token = mint.issue(profile, &session, now, || "id".to_owned()).unwrap();
                outcome.tokens += 1;
                outcome.signers.insert(token.kid.as_str().to_owned());
                // The public half that verifies it; whether verifiers have this very one is the question.
                let own = profile.keys().signing_keys().find(|key| *key.kid() == token.kid).unwrap().public().unwrap();
                let own = own.to_json();
                keys::verify(token.jws.as_str(), format!("{{\"keys\":[{own}]}}").as_bytes()).unwrap();

                let end = token.expires_at.seconds();
                // The last moment for a verifier whose clock is behind.
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

fn year(replicas: usize) -> World {
    World { replicas, days: 365, every: 720 * 3600, lead: 3600, ttl: 900, skew: 60 }
}

#[track_caller]
fn loses_nothing(world: &World) {
    let outcome = world.run();
    assert_eq!(outcome.lost, 0, "{outcome:?}");
    assert!(outcome.rotations as i64 >= world.days * 86_400 / world.every && outcome.rotations < 400, "{outcome:?}");
    assert_eq!(outcome.signers.len(), outcome.rotations + 1, "every key signed: {outcome:?}");
}

#[test]
fn in_a_year_of_one_replica_every_token_meets_its_key() {
    loses_nothing(&year(1));
}

#[test]
fn in_a_year_of_two_replicas_every_token_meets_its_key() {
    loses_nothing(&year(2));
}

#[test]
fn in_a_year_of_five_replicas_every_token_meets_its_key() {
    loses_nothing(&year(5));
}

/// The shortest lead without a warning, and tokens that live longer than it.
#[test]
fn daily_rotations_with_the_shortest_lead_lose_nothing() {
    loses_nothing(&World { days: 20, every: 24 * 3600, lead: MAX_AGE + 240, ttl: 3600, ..year(5) });
}

/// Otherwise the tests above could not fail: a lead that is only just longer than max-age is one that `check` warns of.
#[test]
fn a_lead_that_leaves_no_time_to_be_seen_loses_tokens_here() {
    let outcome = World { days: 20, every: 24 * 3600, lead: MAX_AGE + 1, ..year(5) }.run();
    assert!(outcome.lost > 0, "{outcome:?}");
}
