//! A thousand profiles with ten keys each, against one: requests, a reload of all, and memory.

use std::time::Duration;

use claimsmith::keys::SignatureAlg;

use crate::fixture;
use crate::hydrate::CONNECTIONS;
use crate::load::{Load, Pace, Reuse};
use crate::report::{Bar, Limit, NO_CACHE, Rounds};
use crate::requests::{Kind, PROFILE_DIGITS, People, Request};
use crate::servers::{Abilities, Folder, Process, ProfileText, Settings, start};
use crate::{Effort, say};

/// Profiles whose tokens are cached, `c000` and on; as many again, `u000` and on, are not.
const HALF: u64 = 500;
const KEYS: usize = 10;
/// More tokens than 32 MiB can hold: each has more than 3 KiB.
const TOKENS: u64 = 20_000;

pub(crate) fn measure(effort: Effort, abilities: Abilities, bars: &mut Vec<Bar>) {
    say("1,000 profiles");
    // Files are looked at when this says so, not in the midst of a round.
    let settings = Settings { lines: "reload: { interval: 1h }\n".to_owned(), ..Settings::default() };
    let folder = Folder::new("fleet");
    let mut profiles = Vec::new();
    for (first, is_cached) in [('c', true), ('u', false)] {
        for number in 0..HALF {
            let name = format!("{first}{number:03}");
            folder.write(&format!("{name}.json"), &fixture::key_set(SignatureAlg::Es256, None, KEYS));
            profiles.push(ProfileText { name: name.clone(), keys: name, template: "session", is_cached });
        }
    }
    let many = start(&folder, &profiles, abilities, &settings);
    let alone = [Folder::new("cached"), Folder::new("uncached")];
    let of = |alone: &Folder, name: &str, is_cached| {
        alone.write("keys.json", &fixture::key_set(SignatureAlg::Es256, None, 1));
        let profile = ProfileText { name: name.to_owned(), keys: "keys".to_owned(), template: "session", is_cached };
        start(alone, &[profile], abilities, &settings)
    };
    let one = [of(&alone[0], "c000", true), of(&alone[1], "u000", false)];

    let body = fixture::session(2048);
    let kind = |first: char, profiles: u64| Kind {
        profiles,
        ..Kind::only(Request::post(&format!("/hydrate/{first}{PROFILE_DIGITS}"), &body))
    };
    let mut ratios = [Rounds::default(), Rounds::default()];
    for round in 0..=effort.rounds {
        for (index, first) in ['c', 'u'].into_iter().enumerate() {
            let few = micros(kind(first, 1), &one[index], effort.round);
            let all = micros(kind(first, HALF), &many, effort.round);
            // The first round warms up.
            if round > 0 {
                ratios[index].0.push(all / few);
            }
        }
    }
    let [cached, uncached] = ratios;
    let no_cache = (!abilities.has_cache).then_some(NO_CACHE);
    let mut push = |asks: &str, most: f64, measured: Rounds, void| {
        let (case, limit) = (format!("1,000 profiles x {KEYS} keys"), Limit::AtMost(most));
        bars.push(Bar { case, asks: asks.to_owned(), limit, measured, void });
    };
    push("CPU of a cached request at most 1.05 x that of one profile", 1.05, cached, no_cache);
    push("CPU of an uncached request at most 1.05 x that of one profile", 1.05, uncached, None);

    let mut fill = kind('c', HALF);
    fill.people = People::New;
    let mut left = TOKENS;
    while left > 0 {
        let outcome = load(std::slice::from_ref(&fill), effort.round).run(&many);
        assert_eq!(outcome.wrong(), 0, "{:?}", outcome.complaints());
        left = left.saturating_sub(outcome.done());
    }
    let full = "at most 100 MiB resident with a full token cache of 32 MiB";
    push(full, 100.0, Rounds(vec![many.resident_mib()]), no_cache);
    push("CPU of a reload of all at most 1 s", 1.0, reload(&folder, &many, effort), None);
    push(&format!("{full}, after the reloads"), 100.0, Rounds(vec![many.resident_mib()]), no_cache);
}

fn load(kinds: &[Kind], length: Duration) -> Load<'_> {
    Load { kinds, connections: CONNECTIONS, pace: Pace::Closed, length, reuse: Reuse::Kept }
}

fn micros(kind: Kind, server: &Process, length: Duration) -> f64 {
    let outcome = load(&[kind], length).run(server);
    assert_eq!(outcome.wrong(), 0, "{:?}", outcome.complaints());
    outcome.server_micros()
}

/// CPU seconds from a changed template to the next generation, both looks that have to find the change included.
fn reload(folder: &Folder, server: &Process, effort: Effort) -> Rounds {
    let mut seconds = Rounds::default();
    for round in 0..effort.rounds {
        let text = format!("{}{{{{!-- {round} --}}}}\n", fixture::template_text("session"));
        folder.write("templates/session/claims.hbs", &text);
        let before = server.cpu();
        server.hang_up();
        assert!(server.said("reloaded", Duration::from_secs(60)), "expected a reload within a minute");
        seconds.0.push(server.cpu().since(&before).as_secs_f64());
    }
    seconds
}
